"""Frames of a video file: damaged and missing frames are skipped, counted and named."""

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from edge.image import quiet_opencv
from edge.media.container import (
    codec_in_file,
    codec_name,
    counts_frames,
    has_stray_index,
    lacks_index,
)
from edge.media.damage import has_hole, surviving_frames
from edge.media.source import Losses, Source
from edge.types import Frame
from runtimes.errors import SourceError

# OpenCV's FFmpeg reads this when the process opens its first video; otherwise it logs to stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

DEFAULT_FPS = 30.0
"""Frame rate of images, and of streams that name none."""

# Failed reads in a row after which a file has ended. A damaged frame is one failed read; so is each read past the end.
_PAST_END = 30
_AT_START = 250
_IN_FILE = 10_000


def open_video(path: Path) -> Source:
    """Open a video file; raises SourceError, naming the codec, where no frame of it can be decoded."""
    with quiet_opencv():
        capture = cv2.VideoCapture(str(path))
    return captured_file(capture, str(path), path)


def captured_file(capture: cv2.VideoCapture, name: str, path: Path | None) -> Source:
    """Return an opened file, at `path` or (None) behind a URL, as a source.

    name: of the file or URL, for messages.
    """
    losses = Losses()
    fps = frame_rate(capture)
    count = frame_count(capture)
    exact = path is not None and counts_frames(path)
    stem = path.stem if path else "stream"
    numbering = _Numbering(path, fps, losses)
    frames = _frames(capture, stem, fps, losses, numbering, promised=count, exact=exact)
    first = next(frames, None)
    if first is None:
        problem = _no_frames(capture, name, path)
        capture.release()
        raise SourceError(problem)
    chained = itertools.chain((first,), frames)
    return Source(
        fps, count or None, live=False, _frames=chained, _close=capture.release, losses=losses
    )


def frame_rate(capture: cv2.VideoCapture) -> float:
    """Return frames a second; some cameras report 0, some containers their time base, and count as 30."""
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    return fps if math.isfinite(fps) and 0 < fps < 1000 else DEFAULT_FPS


def frame_count(capture: cv2.VideoCapture) -> int:
    """Return the number of frames by the container, 0 where it is unknown or absurd."""
    count = float(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return int(count) if math.isfinite(count) and 0 < count < 1e9 else 0


class _Numbering:
    """Numbers and times of a file's frames, in the file's own count; `losses` gets those that a hole swallowed."""

    def __init__(self, path: Path | None, fps: float, losses: Losses) -> None:
        self._path = path
        self._fps = fps
        self._losses = losses
        self._survivors = surviving_frames(path) if path else None
        self._damaged: bool | None = None  # found out at the first gap
        self._reads = 0
        self._longest_s = 1 / fps
        self._next = 0
        self._time_s = -1.0

    def failed(self) -> int:
        """Return the number of a frame that could not be read."""
        self._skip_to(self._read_number())
        self._next += 1
        return self._next - 1

    def given(self, time_s: float, failed: int) -> tuple[int, float]:
        """Return number and time of a frame that was read after `failed` others were not.

        time_s: the container's timestamp (frames may be unevenly spaced); otherwise the time follows from the number.
        """
        self._skip_to(self._read_number())
        if self._survivors is not None:
            time_s = self._next / self._fps
        elif time_s > self._time_s:
            self._find_gap(time_s, failed)
        else:
            time_s = max(self._next / self._fps, self._time_s + 1 / self._fps)
        self._time_s = time_s
        self._next += 1
        return self._next - 1, time_s

    def _read_number(self) -> int:
        self._reads += 1
        if self._survivors is None or self._reads > len(self._survivors):
            return self._next
        return self._survivors[self._reads - 1]

    def _find_gap(self, time_s: float, failed: int) -> None:
        """Skip the frames between two times further apart than any before, where the file is damaged."""
        step_s = (time_s - self._time_s) / (1 + failed)
        if self._time_s < 0 or step_s <= 1.5 * self._longest_s:
            self._longest_s = max(self._longest_s, step_s if self._time_s >= 0 else 0.0)
            return
        if self._damaged is None:
            self._damaged = self._path is not None and has_hole(self._path)
        if self._damaged:
            lost = round((time_s - self._time_s) * self._fps) - 1 - failed
            self._skip_to(self._next + max(lost, 0))

    def _skip_to(self, number: int) -> None:
        if number > self._next:
            self._losses.missing += number - self._next
            self._losses.holes.append((self._next, number - 1))
            self._next = number


def _frames(
    capture: cv2.VideoCapture,
    stem: str,
    fps: float,
    losses: Losses,
    numbering: _Numbering,
    *,
    promised: int,
    exact: bool,
) -> Iterator[Frame]:
    """Yield the frames that can be decoded, under their numbers in the file; count the others at the end."""
    failed: list[int] = []
    given, last, time_s = 0, -1, -1.0
    while True:
        with quiet_opencv():  # behind a URL it may time out
            read, image = capture.read()
        if not read:
            failed.append(numbering.failed())
            if len(failed) > _patience(promised, failed[-1], given):
                break
            continue
        last, time_s = numbering.given(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, len(failed))
        losses.unread += len(failed)
        losses.broken += [f"{stem}_{number:06d}" for number in failed]
        failed = []
        given += 1
        yield Frame(image, last, time_s, f"{stem}_{last:06d}")
    # a count that is only duration times mean rate is wrong for uneven frames; the time tells
    ends_early = time_s + 2 / fps < promised / fps
    rest = promised - given - losses.unread - losses.missing
    if given and rest > 0 and (exact or ends_early):
        losses.missing += rest
        losses.holes.append((promised - rest, promised - 1))


def _patience(promised: int, index: int, given: int) -> int:
    """Return how many reads in a row may fail before the file counts as ended."""
    if not given:
        return _AT_START
    return _PAST_END + min(max(promised - index, 0), _IN_FILE)


def _no_frames(capture: cv2.VideoCapture, name: str, path: Path | None) -> str:
    """Return why a file gives no frame, and what to do."""
    if path and lacks_index(path):
        return f"{path} has no index (moov)" + (
            " where the file says: bytes are missing before it; copy it again, or repair it with untrunc"
            if has_stray_index(path)
            else ": its recording was cut off before it was finished; record it again, or repair it with untrunc"
        )
    codec = None
    if capture.isOpened():
        codec = codec_name(int(capture.get(cv2.CAP_PROP_FOURCC))) if frame_count(capture) else None
    elif path:
        codec = codec_in_file(path)
    if codec:
        return (
            f"{name}: OpenCV decodes no frame of this video, codec {codec}; "
            f"convert it: ffmpeg -i {name} -c:v libx264 out.mp4"
        )
    return (
        f"{name} is no image or video OpenCV can decode, or holds no frames; "
        "convert it: ffmpeg -i IN -c:v libx264 out.mp4"
    )
