"""Handling of Ctrl-C: a recording ends without being lost, and an interrupt that a library wraps is recognised."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


@contextmanager
def ctrl_c_noted() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C sets as it raises KeyboardInterrupt.

    torch's exporter catches that and raises an error of its own; the event tells it from a real one.
    """
    noted = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        noted.set()
        raise KeyboardInterrupt

    with _handled(note):
        yield noted


@contextmanager
def ctrl_c_ends() -> Iterator[threading.Event]:
    """Yield an event that the first Ctrl-C sets, to be checked between frames; the second interrupts at once."""
    asked = threading.Event()

    def note(_number: int, _frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    with _handled(note):
        yield asked


@contextmanager
def _handled(handler: Handler) -> Iterator[None]:
    """Install a SIGINT handler; not in other threads, which may not, nor where the shell ignores the signal."""
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
