"""Frames of a video file: damaged frames are skipped and counted, and what its container promises is compared."""

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path

import cv2

from edge.image import quiet_opencv
from edge.media.container import codec_in_file, codec_name, counts_frames, lacks_index
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
    frames = _frames(capture, stem, fps, losses, promised=count, exact=exact)
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


def _frames(
    capture: cv2.VideoCapture,
    stem: str,
    fps: float,
    losses: Losses,
    *,
    promised: int,
    exact: bool,
) -> Iterator[Frame]:
    """Yield the frames that can be decoded, under their numbers in the file; count the others at the end."""
    last, failed, given = -1.0, 0, 0
    for index in itertools.count():
        read, image = capture.read()
        if not read:
            failed += 1
            if failed > _patience(promised, index, given):
                break
            continue
        losses.unread += failed
        failed = 0
        # the container's timestamp where it has one (frames may be unevenly spaced), else by the frame rate
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not time_s > last:
            time_s = index / fps if index / fps > last else last + 1 / fps
        last = time_s
        given += 1
        yield Frame(image, index, time_s, f"{stem}_{index:06d}")
    found = given + losses.unread
    # a count that is only duration times mean rate is wrong for uneven frames; the time tells
    ends_early = last + 2 / fps < promised / fps
    if given and found < promised and (exact or ends_early):
        losses.missing = promised - found


def _patience(promised: int, index: int, given: int) -> int:
    """Return how many reads in a row may fail before the file counts as ended."""
    if not given:
        return _AT_START
    return _PAST_END + min(max(promised - index, 0), _IN_FILE)


def _no_frames(capture: cv2.VideoCapture, name: str, path: Path | None) -> str:
    """Return why a file gives no frame, and what to do."""
    if path and lacks_index(path):
        return (
            f"{path} has no index (moov): its recording was cut off before it was finished; "
            "record it again, or repair it with untrunc"
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
