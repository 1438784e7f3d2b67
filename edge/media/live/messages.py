"""Messages of a child process: read while its output is waited for, and the last lines kept, however long it runs."""

import os
import select
import time
from collections import deque
from collections.abc import Callable

_LINES = 200
_LONGEST = 4096  # bytes of a line that are kept
_PART = 1 << 16
_MOST_PARTS = 64  # of one look, so that a child that never stops printing holds up no frame


class ChildMessages:
    """A pipe that a child prints to; the thread that reads the child's output empties it, so that it never fills.

    heard: is called with each line, bytes without the newline. writing: the child's end, for its stdout and stderr.
    """

    def __init__(self, heard: Callable[[bytes], object]) -> None:
        self._heard = heard
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._lines: deque[bytes] = deque(maxlen=_LINES)
        self._begun = b""
        self._ended = False
        self.closed = False

    @property
    def text(self) -> str:
        """The last lines."""
        return b"\n".join([*self._lines, self._begun]).decode("utf-8", "replace").strip()

    def wait_for(self, pipe: int, timeout_s: float) -> bool:
        """Return whether `pipe` can be read within the time, and hear what is said meanwhile and before."""
        until = time.monotonic() + timeout_s
        while True:
            pipes = [pipe] if self._ended else [pipe, self._reading]
            ready, _, _ = select.select(pipes, [], [], max(0.0, until - time.monotonic()))
            if self._reading in ready:
                self.hear()
            if pipe in ready or time.monotonic() >= until:
                return pipe in ready

    def hear(self) -> None:
        """Take in what was printed since, without waiting."""
        for _ in range(_MOST_PARTS):
            try:
                part = b"" if self._ended else os.read(self._reading, _PART)
            except BlockingIOError:
                return
            if not part:
                self._ended = True
                return
            *lines, begun = (self._begun + part).split(b"\n")
            self._begun = begun[:_LONGEST]
            for line in lines:
                self._lines.append(line[:_LONGEST])
                self._heard(line)

    def close_writing(self) -> None:
        """Close the child's end here, once the child has its own."""
        os.close(self.writing)

    def close(self) -> None:
        """Close the pipe."""
        self.closed = True
        os.close(self._reading)
