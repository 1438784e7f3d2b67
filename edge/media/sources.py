"""Frame sources: images, folders, videos, cameras, streams, drawn people, all opened by `open_source`.

    with open_source("clip.mp4") as source:
        for frame in source: ...

A source without any frame raises when it is opened, not later.
"""

import glob
import itertools
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.image import read_image
from edge.types import Frame
from runtimes.errors import SourceError

# OpenCV's FFmpeg reads this when the process opens its first video; otherwise it logs to stderr.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
STREAM_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://", "udp://", "tcp://")

# Frame rate of images, and of streams that name none.
_DEFAULT_FPS = 30.0
_STREAM_TIMEOUT_MS = 10_000
_SYNTH_FRAMES = 300


@dataclass(slots=True)
class Source:
    """Frames in order, to be iterated once; a context manager.

    fps: frames a second, by the container; frame_count: None where unknown; live: frames arrive in real time, and a
    slow consumer should skip to the newest.
    """

    fps: float
    frame_count: int | None
    live: bool
    _frames: Iterator[Frame]
    _close: Callable[[], object]
    _names: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def name(self, frame_index: int) -> str:
        """Return the name of a frame's file, or its number where frames are not files."""
        return self._names[frame_index] if self._names else f"{frame_index:06d}"

    def close(self) -> None:
        """Release the camera, stream or file; no frames follow."""
        self._close()
        self._frames = iter(())

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_source(source: str | int | Path, *, fps: float = _DEFAULT_FPS) -> Source:
    """Open an image, directory, glob, video file, camera number, stream URL, or "synth".

    fps: frame rate of images and drawn people; videos, cameras and streams have their own.
    Raises SourceError for a source that is missing, empty or not decodable.
    """
    text = str(source)
    if text == "synth":
        return _open_synth(fps)
    if text.isdecimal():
        return _open_camera(int(text))
    if text.startswith(STREAM_SCHEMES):
        return _open_stream(text)
    path = Path(text)
    if path.is_dir():
        return _open_images(_images_in(path), fps)
    if path.is_file():
        is_image = path.suffix.lower() in IMAGE_SUFFIXES
        return _open_images([path], fps) if is_image else _open_video(path)
    if glob.has_magic(text):
        return _open_images(_images_like(text), fps)
    raise SourceError(
        f"no such file or directory: {text}; a source is an image, directory, glob, video, "
        "camera number, rtsp:// or http:// stream, or synth"
    )


def _images_in(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise SourceError(f"no images in {folder}; looked for {', '.join(IMAGE_SUFFIXES)}")
    return sorted(found, key=_natural)


def _images_like(pattern: str) -> list[Path]:
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]  # noqa: PTH207 Path.glob takes no absolute one
    found = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    if not found:
        raise SourceError(f"no image matches {pattern}; quote the pattern and check the folder")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key that puts frame2 before frame10."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _open_images(paths: list[Path], fps: float) -> Source:
    frames = (Frame(read_image(path), index, index / fps) for index, path in enumerate(paths))
    names = tuple(path.name for path in paths)
    return Source(fps, len(paths), live=False, _frames=frames, _close=frames.close, _names=names)


def _open_video(path: Path) -> Source:
    capture = _capture(str(path))
    return _captured(
        capture,
        live=False,
        problem=f"{path} is no image or video OpenCV can decode, or holds no frames; "
        "convert it (ffmpeg -i IN out.mp4)",
    )


def _open_camera(number: int) -> Source:
    capture = _capture(number)
    return _captured(
        capture,
        live=True,
        problem=f"camera {number} gives no frames; list what is there with: ls /dev/video*, "
        "and close other programs that use it",
    )


def _open_stream(url: str) -> Source:
    limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    parameters = [value for limit in limits for value in (limit, _STREAM_TIMEOUT_MS)]
    with _quiet_opencv():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)
    # a video file behind http:// has an end and is not live
    finite = capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
    return _captured(
        capture,
        live=not finite,
        problem=f"{url} gives no frames; check the address, the login in it and the network",
    )


def _open_synth(fps: float) -> Source:
    from edge.synth import draw_clip  # noqa: PLC0415 drawing people is not needed to read a camera

    clip = draw_clip(0, frames=_SYNTH_FRAMES, fps=fps)
    frames = (Frame(scene.image, index, index / fps) for index, scene in enumerate(clip))
    return Source(fps, _SYNTH_FRAMES, live=False, _frames=frames, _close=frames.close)


def _captured(capture: cv2.VideoCapture, *, live: bool, problem: str) -> Source:
    """Return an opened capture as a source; raises SourceError with `problem` where it gives no first frame."""
    fps = capture.get(cv2.CAP_PROP_FPS)
    if not (
        math.isfinite(fps) and 0 < fps < 1000
    ):  # some cameras report 0, some containers their time base
        fps = _DEFAULT_FPS
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = _live_frames(capture, problem) if live else _file_frames(capture, fps)
    first = next(frames, None)
    if first is None:
        capture.release()
        raise SourceError(problem)
    known = count if count > 0 and not live else None
    return Source(fps, known, live, itertools.chain((first,), frames), capture.release)


def _file_frames(capture: cv2.VideoCapture, fps: float) -> Iterator[Frame]:
    last = -1.0
    for index in itertools.count():
        read, image = capture.read()
        if not read:
            return
        # the container's timestamp where it has one (frames may be unevenly spaced), else by the frame rate
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not time_s > last:
            time_s = index / fps if index / fps > last else last + 1 / fps
        last = time_s
        yield Frame(image, index, time_s)


def _live_frames(capture: cv2.VideoCapture, problem: str) -> Iterator[Frame]:
    began = time.monotonic()
    for index in itertools.count():
        read, image = capture.read()
        if not read:
            if index:
                raise SourceError(f"no more frames after {index}: {problem}")
            return
        yield Frame(image, index, time.monotonic() - began if index else 0.0)


def _capture(source: str | int) -> cv2.VideoCapture:
    with _quiet_opencv():
        return cv2.VideoCapture(source)


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Silence OpenCV's log: errors are reported once, by us."""
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV before 4.13 has them at its top level
    level = logging.getLogLevel()
    logging.setLogLevel(0)  # silent
    try:
        yield
    finally:
        logging.setLogLevel(level)
