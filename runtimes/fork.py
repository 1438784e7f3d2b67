"""Fork safety: engines that a forked child process inherits are left alone, at its exit too.

A fork copies an engine without its threads; its destructors in the child would wait for them for ever.
"""

import ctypes
import os
from weakref import WeakSet

from runtimes.base import Session

# the process that loaded an engine, by the runtime's name
_loaded_in: dict[str, int] = {}
_sessions: WeakSet[Session] = WeakSet()


def keep_from_destructors(session: Session) -> None:
    """Make sure that a child forked from here never frees this engine session."""
    _sessions.add(session)


def loaded_before_fork(runtime: str) -> bool:
    """Return whether a parent of this process loaded the runtime's engine before it forked."""
    return _loaded_in.get(runtime, os.getpid()) != os.getpid()


def note_loaded(runtime: str) -> None:
    """Remember that this process loads the runtime's engine."""
    _loaded_in.setdefault(runtime, os.getpid())


def _after_fork_in_child() -> None:
    if not _loaded_in:
        return
    for session in _sessions:
        # a reference that is never given back: the interpreter's own cleanup at exit would free a global one
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
    # ONNX Runtime's static destructors hang too. Handlers run last registered first, so this ends the process, with its
    # exit status, after Python's cleanup and before theirs.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        libc.on_exit(libc._exit, None)  # noqa: SLF001 - C's _exit, no private name


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
