"""JSON lines, one a frame, readable while they are written: a file, or a stream such as stdout."""

import fcntl
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from edge.media.sinks.blocks import BlockFile
from edge.media.sinks.sink import Sink, disk_error, origin_of, refuse_target, states_of, unwritable
from edge.types import Frame, Poses
from runtimes.errors import InputError
from runtimes.replace import flush, replace


def json_line(source: str, frame: Frame, poses: Poses, states: Sequence[str]) -> bytes:
    """Return one frame as a line: source, image_name, frame, time_s, people.

    Of each person: id (null: none), state (null: unknown), and score, bbox [x, y, width, height] and keypoints
    [x, y, score, ...] as in COCO results.
    """
    people = [
        {
            "id": record.get("track_id"),
            "state": state or None,
            "score": record["score"],
            "bbox": record["bbox"],
            "keypoints": record["keypoints"],
        }
        for record, state in zip(poses.to_coco(frame.index), states_of(poses, states), strict=True)
    ]
    return msgspec.json.encode({"source": source, **origin_of(frame), "people": people}) + b"\n"


class JsonLinesSink(Sink):
    """A file of JSON lines, written in place and past all buffers: a killed process leaves every line before the kill.

    source: written into each line. part: the file that is written, and becomes `path` when the block ends without an
    exception; None for `path` itself. A pipe or a device is a target too.
    Raises TargetExistsError (on construction) for a file that may not be replaced, and InputError (on entry) where it
    cannot be opened or another process writes it; OutputError where the disk is full: the lines before are kept.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: str = "",
        part: str | Path | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        if not self.path.exists() or self.path.is_file() or self.path.is_dir():
            refuse_target(self.path, overwrite=overwrite)
        self._source = source
        self._part = self.path if part is None else Path(part)
        self._lines = 0

    def __enter__(self) -> "JsonLinesSink":
        try:
            descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            raise unwritable(self._part, error) from error
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _empty(descriptor, self._part)
        self._file = BlockFile(descriptor, self._part)
        return self

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's line."""
        self.put(json_line(self._source, frame, poses, states))

    def put(self, line: bytes) -> None:
        """Add a whole line."""
        self._file.append(line)
        self._lines += 1

    def of_source(self, source: str) -> "SharedLines":
        """Return a sink of one of several sources that write into this one."""
        return SharedLines(self, source)

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._file.close()
        try:
            if kind is None and self._part != self.path:
                flush(self._part)
                replace(self._part, self.path)
        except OSError as error:
            raise disk_error(self.path, error) from error
        if kind is not None and not self._lines and self._part.is_file():
            self._part.unlink()


class JsonLinesStream(Sink):
    """JSON lines to a text stream, flushed after each; a pipe without a reader raises BrokenPipeError.

    source: written into each line.
    """

    def __init__(self, stream: IO[str], *, source: str = "") -> None:
        self._stream = stream
        self._source = source

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's line."""
        self.put(json_line(self._source, frame, poses, states))

    def of_source(self, source: str) -> "SharedLines":
        """Return a sink of one of several sources that write into this one."""
        return SharedLines(self, source)

    def put(self, line: bytes) -> None:
        """Add a whole line."""
        try:
            self._stream.write(line.decode())
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise disk_error(Path("stdout"), error) from error


class SharedLines(Sink):
    """Lines of one source among others; `lines` is opened and closed by its maker."""

    def __init__(self, lines: JsonLinesSink | JsonLinesStream, source: str) -> None:
        self.lines = lines
        self._source = source

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add the frame's line."""
        self.lines.put(json_line(self._source, frame, poses, states))


def _empty(descriptor: int, path: Path) -> None:
    """Lock a file for this process and empty it; raises InputError where another one writes it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # between the two calls, another process may have finished its part and renamed it
        taken = not path.exists() or path.stat().st_ino != os.fstat(descriptor).st_ino
    except BlockingIOError:
        taken = True
    except OSError:  # a file system without locks
        taken = False
    if taken:
        os.close(descriptor)
        raise InputError(f"another process writes {path}; name another target")
    os.ftruncate(descriptor, 0)
