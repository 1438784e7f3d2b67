"""Ctrl-C, taken notice of: it ends a recording without losing it, and is no bug where a library wraps it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def ctrl_c_noted() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets as it raises KeyboardInterrupt.

    torch's exporter catches that and raises an error of its own; whoever catches the error can then tell.
    """
    noted = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        noted.set()
        raise KeyboardInterrupt

    with _handled(note):
        yield noted


@contextmanager
def ctrl_c_ends() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets, to be looked at between frames; the second interrupts at once."""
    asked = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    with _handled(note):
        yield asked


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Have SIGINT handled so; not in other threads, which may not, and not where the shell has it ignored."""
    previous = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or previous in {signal.SIG_IGN, None}:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
