"""A frame source: frames in order, and counts of those that it could not give."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from edge.types import Frame, counted

_DROPPING = threading.Lock()
# What promises missing frames, and why they are missing.
_PROMISES = {
    "container": ("the container promises", ": the file is truncated or damaged"),
    "numbers": ("the numbers of the images promise", ""),
}


@dataclass(slots=True)
class Losses:
    """Frames that a source did not give, counted while it is iterated.

    unread: damaged frames that were skipped; dropped: frames of a live source that a newer one replaced before they
    were taken; missing: frames that a video's container promises and the file does not hold, all known at its end,
    or that the numbers of images leave out;
    reconnects: times that a live source was lost and opened again; broken: names of files and frames that could not be
    read, counted in `unread` too; holes: first and last number of missing frames that follow each other; promised_by:
    what says that there are such frames, a container or the numbers of images.
    """

    unread: int = 0
    dropped: int = 0
    missing: int = 0
    reconnects: int = 0
    broken: list[str] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)
    promised_by: Literal["container", "numbers"] = "container"

    def add_dropped(self, count: int) -> None:
        """Count frames as dropped; a source and a stream over it may do so in two threads."""
        with _DROPPING:
            self.dropped += count

    def notes(self) -> list[str]:
        """Return one sentence for each kind of loss that occurred."""
        notes = []
        if self.unread:
            named = f": {_shown(self.broken)}" if self.broken else ""
            notes.append(f"{counted(self.unread, 'frame')} could not be read{named}")
        if self.missing:
            ranges = [f"{a} to {b}" if a < b else str(a) for a, b in self.holes]
            named = f" ({_shown(ranges)})" if ranges else ""
            promise, reason = _PROMISES[self.promised_by]
            notes.append(
                f"{counted(self.missing, 'frame')} that {promise} {_verb(self.missing)} missing{named}{reason}"
            )
        if self.dropped:
            notes.append(
                f"{counted(self.dropped, 'frame')} of the live source were dropped for newer ones"
            )
        if self.reconnects:
            times = counted(self.reconnects, "time")
            notes.append(f"the live source was lost and opened again {times}")
        return notes


@dataclass(slots=True)
class Source:
    """Frames in order, to be iterated once; a context manager.

    fps: frames a second, by the container; frame_count: None where unknown; live: frames arrive in real time, and a
    slow consumer gets the newest. losses: frames that could not be given, so far.
    """

    fps: float
    frame_count: int | None
    live: bool
    _frames: Iterator[Frame]
    _close: Callable[[], object]
    losses: Losses = field(default_factory=Losses)
    _interrupt: Callable[[], object] | None = None

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __repr__(self) -> str:
        count = "live" if self.live else f"{self.frame_count or 'unknown number of'} frames"
        return f"Source({count}, {self.fps:g} fps)"

    def interrupt(self) -> None:
        """End the wait for a live source's next frame, from a signal handler or another thread; none follows."""
        if self._interrupt:
            self._interrupt()

    def close(self) -> None:
        """Release the camera, stream or file; no frames follow."""
        self._close()
        self._frames = iter(())

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _shown(names: list[str]) -> str:
    """Return the first five, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{', '.join(names[:5])}{more}"


def _verb(count: int) -> str:
    return "is" if count == 1 else "are"
