"""Result sinks: annotated images, COCO results, OpenPose JSON, CSV, with one `write` for all; `video_sink` has video.

Writing is atomic: sinks write in a staging folder beside their target, which is replaced on success. Image sinks take
frames that are drawn on already.
"""

import csv
import itertools
import re
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from edge.image import write_image
from edge.media.openpose_json import openpose_people
from edge.types import Frame, Poses
from runtimes.errors import InputError, TargetExistsError
from runtimes.replace import flush, replace
from runtimes.staging import staging_folder

_JPEG_COMMENT = b"\xff\xfe\x00\x0aedgepose"
_IMAGE_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


class Sink(ABC):
    """Base of all sinks, a context manager: the target is in place when the block ends without an exception.

    Raises, before any work, TargetExistsError (on construction) where the target exists and may not be replaced, and
    InputError (on entry) where its folder cannot be written.
    """

    _staging: AbstractContextManager[Path]
    _part: Path

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self.path = Path(path)
        if self.path.exists() and not overwrite:
            raise TargetExistsError(f"{self.path} exists; name another target or remove it")

    @abstractmethod
    def write(self, frame: Frame, poses: Poses) -> None:
        """Add one frame's result."""

    def _start(self) -> None:  # noqa: B027 a hook not every sink needs
        """Open `_part`, for sinks that do so before the first frame."""

    def _finish(self) -> None:  # noqa: B027 a hook not every sink needs
        """Complete `_part`, which is renamed next."""

    def _abandon(self) -> None:  # noqa: B027 a hook not every sink needs
        """Close what is open; `_part` is deleted next."""

    def __enter__(self) -> "Sink":
        try:
            self._staging = staging_folder(self.path.parent)
            # OpenCV chooses a format by the suffix
            self._part = self._staging.__enter__() / self.path.name
        except OSError as error:
            raise InputError(
                f"cannot write into {self.path.parent}: {error.strerror}; create the folder first"
            ) from error
        self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        try:
            if kind is None:
                self._finish()
                if self._part.is_file():
                    flush(self._part)
                if self._part.exists():
                    replace(self._part, self.path)
            else:
                self._abandon()
        finally:
            self._staging.__exit__(None, None, None)


class PictureSink(Sink):
    """One frame as a picture, in the format of the suffix (.jpg, .png, ...)."""

    def write(self, frame: Frame, poses: Poses) -> None:
        """Write the frame's image; raises InputError for a second frame."""
        if self._part.exists():
            raise InputError(f"{self.path} holds one picture; write more frames to a folder")
        write_image(self._part, frame.image)


class FolderSink(Sink):
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
        stem = _IMAGE_SUFFIX.sub("", frame.name).replace("/", "_") or number
        if stem in self._stems:
            stem = f"{stem}_{number}"
        self._stems.add(stem)
        return stem


class ImageDirSink(FolderSink):
    """Frames as JPEG images; the file's comment says that edgepose wrote it."""

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add the frame's image."""
        path = self._part / f"{self._stem(frame, 6)}.jpg"
        write_image(path, frame.image)
        jpeg = path.read_bytes()
        at = 4 + int.from_bytes(jpeg[4:6], "big")  # after the header (SOI, APP0), as JFIF asks
        path.write_bytes(jpeg[:at] + _JPEG_COMMENT + jpeg[at:])

    def _wrote(self, path: Path) -> bool:
        return path.is_file() and _JPEG_COMMENT in _head(path)


class OpenPoseSink(FolderSink):
    """OpenPose's JSON (format 1.3), one file a frame, body in BODY_25 order; see `edge.media.openpose_json`.

    Beside OpenPose's fields: image_name, frame, time_s.
    """

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add the frame's people."""
        record = {"version": 1.3, **_origin(frame), "people": openpose_people(poses)}
        path = self._part / f"{self._stem(frame, 12)}_keypoints.json"
        path.write_bytes(msgspec.json.encode(record))

    def _wrote(self, path: Path) -> bool:
        return path.name.endswith("_keypoints.json") and b'"image_name":' in _head(path)


class _FileSink(Sink):
    """A text file that is written frame by frame, in constant memory."""

    _file: IO[str]

    def _start(self) -> None:
        self._file = self._part.open("w", encoding="utf-8", newline="")

    def _finish(self) -> None:
        self._file.close()

    def _abandon(self) -> None:
        self._file.close()


class CocoSink(_FileSink):
    """COCO keypoint results, a JSON list with one record a person; image_id is the frame's index.

    Beside COCO's fields: image_name, frame, time_s.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._separator = "[\n"

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add the frame's people."""
        for person in poses.to_coco(frame.index):
            record = {**person, **_origin(frame)}
            self._file.write(self._separator + msgspec.json.encode(record).decode())
            self._separator = ",\n"

    def _finish(self) -> None:
        empty = self._separator.startswith("[")
        self._file.write("[]\n" if empty else "\n]\n")
        super()._finish()


class CsvSink(_FileSink):
    """A table, one row a person: image_name, frame, time_s, person, track_id, score, box; x, y, score a keypoint."""

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        super().__init__(path, overwrite=overwrite)
        self._names: tuple[str, ...] | None = None

    def write(self, frame: Frame, poses: Poses) -> None:
        """Add the frame's people, after a header on the first frame."""
        rows = csv.writer(self._file)
        if self._names is None:
            self._names = poses.schema.names
            triplets = ((f"{name}_x", f"{name}_y", f"{name}_score") for name in self._names)
            frame_of = ("image_name", "frame", "time_s")
            person_of = ("person", "track_id", "score", "x0", "y0", "x1", "y1")
            rows.writerow((*frame_of, *person_of, *itertools.chain.from_iterable(triplets)))
        if poses.schema.names != self._names:
            raise InputError("a table holds one keypoint set; write another set to another file")
        points = np.concatenate([poses.xy, poses.scores[..., None]], axis=2)
        for person, score in enumerate(poses.instance_scores()):
            numbers: tuple[Any, ...] = (*poses.boxes[person], *points[person].ravel())
            rows.writerow(
                (
                    frame.name,
                    frame.index,
                    f"{frame.time_s:.4f}",
                    person,
                    poses.ids[person],
                    f"{score:.5f}",
                    *(f"{number:.3f}" for number in numbers),
                )
            )


def _origin(frame: Frame) -> dict[str, Any]:
    """Return which frame of its source a result is of."""
    return {
        "image_name": frame.name,
        "frame": frame.index,
        "time_s": round(frame.time_s, 4),
    }


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(200)
