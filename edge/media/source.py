"""A frame source: frames in order, and counts of those that it could not give."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edge.types import Frame, counted


@dataclass(slots=True)
class Losses:
    """Frames that a source did not give, counted while it is iterated.

    unread: damaged frames that were skipped; dropped: frames of a live source that a newer one replaced before they
    were taken; missing: frames that a video's container promises and the file does not hold, all known at its end;
    broken: names of files and frames that could not be read, counted in `unread` too; holes: first and last number of
    missing frames that follow each other.
    """

    unread: int = 0
    dropped: int = 0
    missing: int = 0
    broken: list[str] = field(default_factory=list)
    holes: list[tuple[int, int]] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return one sentence for each kind of loss that occurred."""
        notes = []
        if self.unread:
            named = f": {_shown(self.broken)}" if self.broken else ""
            notes.append(f"{counted(self.unread, 'frame')} could not be read{named}")
        if self.missing:
            ranges = [f"{a} to {b}" if a < b else str(a) for a, b in self.holes]
            named = f" ({_shown(ranges)})" if ranges else ""
            notes.append(
                f"{counted(self.missing, 'frame')} that the container promises {_verb(self.missing)} missing{named}: "
                "the file is truncated or damaged"
            )
        if self.dropped:
            notes.append(
                f"{counted(self.dropped, 'frame')} of the live source were dropped for newer ones"
            )
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

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __repr__(self) -> str:
        count = "live" if self.live else f"{self.frame_count or 'unknown number of'} frames"
        return f"Source({count}, {self.fps:g} fps)"

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
