"""Base classes of result sinks, and what all records say of a frame and its people.

Most sinks are atomic: they write in a staging folder beside their target, which is replaced on success. Image sinks
take frames that are drawn on already.
"""

import errno
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from edge.media.paths import require_utf8
from edge.types import Frame, Poses
from runtimes.errors import InputError, OutputError, TargetExistsError
from runtimes.replace import flush, replace
from runtimes.staging import staging_folder


class Sink(ABC):
    """Destination of results, a context manager."""

    @abstractmethod
    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add one frame's result; states: a Result's, one a person ("detected", "tracked", ...), () where unknown."""

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:  # noqa: B027
        """Close; kind: of the exception that ended the block, None where none did."""


class TargetSink(Sink):
    """A file or folder that is in place when the block ends without an exception, and not before: see `in_place`.

    Raises, before any work, TargetExistsError (on construction) where the target exists and may not be replaced, and
    InputError (on entry) where its folder cannot be written; OutputError where the disk is full.
    """

    _staging: AbstractContextManager[Path]
    _part: Path

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        self.in_place = False
        refuse_target(self.path, overwrite=overwrite)

    def _start(self) -> None:
        """Open `_part`, for sinks that do so before the first frame."""

    def _finish(self) -> None:
        """Complete `_part`, which is renamed next."""

    def _abandon(self) -> None:
        """Close what is open; `_part` is deleted next."""

    def __enter__(self) -> "TargetSink":
        try:
            self._staging = staging_folder(self.path.parent)
            # OpenCV chooses a format by the suffix
            self._part = self._staging.__enter__() / self.path.name
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        try:
            if kind is None:
                self._finish()
                self._put_in_place()
            else:
                self._abandon()
        finally:
            self._staging.__exit__(None, None, None)

    def _put_in_place(self) -> None:
        try:
            if self._part.is_file():
                flush(self._part)
            if self._part.exists():
                replace(self._part, self.path)
                self.in_place = True
        except OSError as error:
            raise disk_error(self.path, error) from error


def refuse_target(path: Path, *, overwrite: bool) -> None:
    """Raise TargetExistsError where the target exists and may not be replaced."""
    require_utf8(path)
    if path.exists() and not overwrite:
        raise TargetExistsError(f"{path} exists; name another target or remove it")


def unwritable(path: Path, error: OSError) -> InputError:
    """Return the error of a folder that cannot be written into."""
    missing = error.errno == errno.ENOENT
    remedy = "create the folder first" if missing else "name a target in another folder"
    return InputError(f"cannot write into {path.parent}: {error.strerror}; {remedy}")


def disk_error(path: Path, error: OSError) -> OutputError:
    """Return the error of a write that failed, as on a full disk."""
    return OutputError(
        f"cannot write {path}: {error.strerror}; free space, or name a target on another disk"
    )


def origin_of(frame: Frame) -> dict[str, Any]:
    """Return which frame of its source a result is of."""
    return {
        "image_name": frame.name,
        "frame": frame.index,
        "time_s": round(frame.time_s, 4),
    }


def states_of(poses: Poses, states: Sequence[str]) -> Sequence[str]:
    """Return a state for each person, "" where unknown; raises InputError for another number of them."""
    if not states:
        return [""] * len(poses)
    if len(states) != len(poses):
        raise InputError(f"{len(states)} states for {len(poses)} people; give one for each")
    return states


def put_file(path: Path, data: bytes, shown: Path) -> None:
    """Write one small file, complete or not at all; shown: the target that an OutputError names."""
    try:
        path.write_bytes(data)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise disk_error(shown, error) from error
