"""Frames as image files: one picture, or a folder with one file a frame."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from edge.image import encode_image
from edge.media.sinks.sink import TargetSink, put_file
from edge.types import Frame, Poses
from runtimes.errors import InputError, TargetExistsError

_JPEG_COMMENT = b"\xff\xfe\x00\x0aedgepose"
_MOST_BYTES = 200  # of a stem; a file's name has at most 255
_IMAGE_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


class PictureSink(TargetSink):
    """One frame as a picture, in the format of the suffix (.jpg, .png, ...)."""

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Write the frame's image; raises InputError for a second frame."""
        if self._part.exists():
            raise InputError(f"{self.path} holds one picture; write more frames to a folder")
        put_file(self._part, encode_image(self.path, frame.image), self.path)


class FolderSink(TargetSink):
    """A folder with one file a frame, named after the frame: "photo.jpg", "clip_000016.jpg", or its number.

    overwrite: replace a folder whose files were all written by a sink of this kind; others are never replaced.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        target = Path(path)
        if target.exists() and not target.is_dir():
            raise TargetExistsError(f"{target} is a file; name a new or empty folder")
        inside = sorted(target.iterdir()) if target.is_dir() else []
        if inside and not overwrite:
            raise TargetExistsError(
                f"{target} is not empty; add --force to replace it, or name a new or empty folder"
            )
        foreign = next((each for each in inside if not self._wrote(each)), None)
        if foreign:
            raise TargetExistsError(
                f"{target} is not replaced: edgepose did not write {foreign.name} in it; name a new or empty folder"
            )
        super().__init__(path, overwrite=True)
        self._stems: set[str] = set()

    @abstractmethod
    def _wrote(self, path: Path) -> bool:
        """Return whether a sink of this kind wrote this file."""

    def _start(self) -> None:
        self._part.mkdir()

    def _stem(self, frame: Frame, digits: int) -> str:
        """Return a file name without suffix for the frame, used once."""
        number = f"{frame.index:0{digits}d}"
        stem = _IMAGE_SUFFIX.sub("", frame.name).replace("/", "_")
        stem = stem.encode(errors="replace")[:_MOST_BYTES].decode(errors="ignore") or number
        if stem in self._stems:
            stem = f"{stem}_{number}"
        self._stems.add(stem)
        return stem


class ImageDirSink(FolderSink):
    """Frames as JPEG images; the file's comment says that edgepose wrote it."""

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's image."""
        path = self._part / f"{self._stem(frame, 6)}.jpg"
        jpeg = encode_image(path, frame.image)
        at = 4 + int.from_bytes(jpeg[4:6], "big")  # after the header (SOI, APP0), as JFIF asks
        put_file(path, jpeg[:at] + _JPEG_COMMENT + jpeg[at:], self.path / path.name)

    def _wrote(self, path: Path) -> bool:
        return path.is_file() and _JPEG_COMMENT in head_of(path)


def head_of(path: Path) -> bytes:
    """Return the first bytes of a file, where sinks of folders know their own by."""
    with path.open("rb") as file:
        return file.read(200)
