"""Raw frames on a pipe: y4m, or pixels of a size and format that the source's name says."""

import io
import os
import re
import select
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edge.media.live.pixels import PIXEL_FORMATS
from edge.media.live.y4m import LONGEST_LINE, MAGIC, Layout, parse_header
from edge.media.source import Losses, Source
from edge.types import U8, Frame
from runtimes.errors import SourceError

_RAW = re.compile(
    r"raw:([1-9][0-9]{0,4})x([1-9][0-9]{0,4}):([a-z0-9-]+)(?:@([0-9]+(?:\.[0-9]+)?))?"
)
_NAME = "stdin"
_DEFAULT_FPS = 30.0
_MOST_BYTES = 1 << 20  # of one read, which allocates what it is asked for
_LOOK_S = 0.2  # between two looks at whether the wait was interrupted


class PipeReader:
    """Bytes of a pipe; the wait for them can be interrupted, which reads as the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = b""
        self._interrupted = threading.Event()

    def interrupt(self) -> None:
        """End the wait."""
        self._interrupted.set()

    def read(self, count: int) -> bytes:
        """Return so many bytes, fewer at the end."""
        parts, missing = [self._held[:count]], count - len(self._held)
        self._held = self._held[count:]
        while missing > 0 and (part := self._part(missing)):
            parts.append(part[:missing])
            self._held = part[missing:]
            missing -= len(part)
        return b"".join(parts)

    def line(self) -> bytes:
        """Return a line with its newline, at most LONGEST_LINE bytes; what there is at the end."""
        while b"\n" not in self._held and len(self._held) < LONGEST_LINE:
            part = self._part(LONGEST_LINE)
            if not part:
                break
            self._held += part
        count = self._held.find(b"\n") + 1 or min(len(self._held), LONGEST_LINE)
        line, self._held = self._held[:count], self._held[count:]
        return line

    def _part(self, count: int) -> bytes:
        """Return what is there, at most so many bytes; b"" at the end."""
        try:
            number = self._stream.fileno()
        except io.UnsupportedOperation:  # bytes in memory
            return self._stream.read(count)
        while not self._interrupted.is_set():
            if select.select([number], [], [], _LOOK_S)[0]:
                return os.read(number, min(count, _MOST_BYTES))
        return b""


def open_stdin(source: str) -> Source:
    """Open frames on stdin: "-" for y4m, "raw:WxH:FORMAT@FPS" for raw ones.

    Raises SourceError for a name of another form, and where no whole frame comes.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise SourceError(
            f"{source} reads frames from stdin, where nothing is piped in; see docs/sources.md"
        )
    pipe = PipeReader(sys.stdin.buffer)
    if source == "-":
        return piped_source(pipe, parse_header(_first_line(pipe)), marked=True)
    return piped_source(pipe, parse_raw(source), marked=False)


def parse_raw(source: str) -> Layout:
    """Parse "raw:WxH:FORMAT@FPS"; without @FPS 30 frames a second."""
    found = _RAW.fullmatch(source)
    known = ", ".join(PIXEL_FORMATS)
    if not found or found[3] not in PIXEL_FORMATS:
        raise SourceError(
            f"raw frames are raw:WIDTHxHEIGHT:FORMAT@FPS, such as raw:1280x720:bgr24@30, not {source!r}; "
            f"formats: {known}"
        )
    fps = float(found[4] or _DEFAULT_FPS)
    if not 0 < fps <= 1000:
        raise SourceError(f"{source}: the frame rate must be above 0 and at most 1000")
    return Layout((int(found[1]), int(found[2])), fps, PIXEL_FORMATS[found[3]])


def piped_source(pipe: PipeReader, layout: Layout, *, marked: bool) -> Source:
    """Return the frames of a pipe as a source that loses none; marked: each begins with y4m's line FRAME.

    A frame that is cut off by the end counts as unread. Raises SourceError where no whole frame comes.
    """
    losses = Losses()
    images = _images(pipe, layout, losses, marked=marked)
    frames = (
        Frame(image, index, index / layout.fps, f"{_NAME}_{index:06d}")
        for index, image in enumerate(images)
    )
    first = next(frames, None)
    if first is None:
        raise SourceError("stdin holds no whole frame; check size and format of what is piped in")

    def rest() -> Iterator[Frame]:
        yield first
        yield from frames

    return Source(
        layout.fps,
        None,
        live=False,
        _frames=rest(),
        _close=pipe.interrupt,
        losses=losses,
        _interrupt=pipe.interrupt,
    )


def _images(pipe: PipeReader, layout: Layout, losses: Losses, *, marked: bool) -> Iterator[U8]:
    for index in range(sys.maxsize):
        if marked and not _frame_line(pipe):
            return
        data = pipe.read(layout.bytes_a_frame)
        if len(data) < layout.bytes_a_frame:
            if data or marked:
                losses.unread += 1
                losses.broken.append(f"{_NAME}_{index:06d}")
            return
        yield layout.pixels.to_bgr(np.frombuffer(data, np.uint8).copy(), *layout.wh)


def _frame_line(pipe: PipeReader) -> bool:
    """Read the line before a frame; False at the end, SourceError for any other."""
    line = pipe.line()
    if line and not line.startswith(b"FRAME"):
        raise SourceError("the y4m stream on stdin is damaged: a frame does not begin with FRAME")
    return bool(line)


def _first_line(pipe: PipeReader) -> bytes:
    """Return the first line of a y4m stream."""
    line = pipe.line()
    if not line.startswith(MAGIC):
        raise SourceError(
            "stdin holds no y4m; pipe in `ffmpeg -i IN -pix_fmt yuv420p -f yuv4mpegpipe -`, or name the format of raw "
            "frames: raw:1280x720:bgr24@30"
        )
    return line
