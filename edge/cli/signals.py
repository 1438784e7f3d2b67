"""Handling of Ctrl-C and SIGTERM: a recording ends without being lost, and a wrapped interrupt is recognised."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.media.source import Source

# Seconds between two looks at whether a run is over.
_LOOK_S = 0.2

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

    with _handled(signal.SIGINT, note):
        yield noted


class Stop(threading.Event):
    """A request to end a run, by Ctrl-C or, as systemd and docker send it, SIGTERM."""

    def __init__(self) -> None:
        super().__init__()
        self._number = signal.SIGINT

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, 143 after SIGTERM, as shells have it; 0 before either."""
        return 128 + self._number if self.is_set() else 0

    def ask(self, number: int) -> None:
        """Ask for the end; a signal handler may call it."""
        self._number = signal.Signals(number)
        self.set()


@contextmanager
def stop_asked() -> Iterator[Stop]:
    """Yield what the first Ctrl-C or SIGTERM sets, to be checked between frames; a second Ctrl-C interrupts at once."""
    stop, owner = Stop(), os.getpid()

    def note(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a child that was forked meanwhile ends as it would without us
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        else:
            stop.ask(number)

    with _handled(signal.SIGINT, note), _handled(signal.SIGTERM, note):
        yield stop


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """Have SIGTERM end the block by SystemExit, as Ctrl-C does by KeyboardInterrupt: what the block opened is closed.

    Left to the system, SIGTERM would leave processes behind: GStreamer's, or one that measures.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handled(signal.SIGTERM, leave):
        yield


@contextmanager
def closing_live(stop: threading.Event, sources: "Sequence[Source]") -> Iterator[None]:
    """End the sources once `stop` is set: a camera or pipe that stalls gives no frame after which it could be seen."""
    over = threading.Event()

    def watch() -> None:
        while not stop.wait(_LOOK_S):
            if over.is_set():
                return
        for source in sources:
            source.interrupt()
            if source.live:
                source.close()

    thread = threading.Thread(target=watch, name="edgepose-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _handled(number: signal.Signals, handler: Handler) -> Iterator[None]:
    """Install a signal handler; not in other threads, which may not, nor where the shell ignores the signal."""
    previous = signal.getsignal(number)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or previous in {signal.SIG_IGN, None}:
        yield
        return
    signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, previous)
