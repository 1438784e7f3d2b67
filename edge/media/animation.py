"""Animated images: their format by content, and the frames of those that FFmpeg does not play."""

import itertools
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge.image import quiet_opencv
from edge.media.source import Source
from edge.media.video import DEFAULT_FPS
from edge.types import Frame
from runtimes.errors import SourceError

Animated = Literal["gif", "png", "webp", "avif"]

# A format, and the offset and value of the bytes that mark it.
_MARKS: tuple[tuple[Animated, int, bytes], ...] = (
    ("gif", 0, b"GIF8"),
    ("png", 0, b"\x89PNG"),
    ("webp", 8, b"WEBP"),
    ("avif", 4, b"ftyp"),
)


def animation_format(path: Path) -> Animated | None:
    """Return the format of an image file that holds several frames; None for a still, and for pages of a TIFF."""
    with path.open("rb") as file:
        head = file.read(12)
    found = next((kind for kind, where, mark in _MARKS if head[where:].startswith(mark)), None)
    if found is None:
        return None
    with quiet_opencv():
        return found if cv2.imcount(str(path)) > 1 else None


def open_animation(path: Path) -> Source:
    """Return the frames of an animated WebP or AVIF at their own times, all in memory; alpha is left out.

    Raises SourceError where this OpenCV reads no animation, or none of it.
    """
    animation = _read(path)
    if animation is None:
        raise SourceError(
            f"{path} is an animation that OpenCV {cv2.__version__} cannot read; convert it to a video: "
            f"ffmpeg -i {path.name} out.mp4"
        )
    seconds = [max(duration, 1) / 1000 for duration in animation.durations]
    starts = [0.0, *itertools.accumulate(seconds)]

    def frames() -> Generator[Frame]:
        for index, image in enumerate(animation.frames):
            name = f"{path.stem}_{index:06d}"
            yield Frame(np.ascontiguousarray(image[..., :3]), index, starts[index], name)

    given = frames()
    fps = len(seconds) / starts[-1] if starts[-1] else DEFAULT_FPS
    return Source(fps, len(animation.frames), live=False, _frames=given, _close=given.close)


def _read(path: Path) -> Any:
    """Return OpenCV's animation; None where it cannot be read."""
    if not hasattr(cv2, "imreadanimation"):  # it came with OpenCV 4.11
        return None
    with quiet_opencv():
        done, animation = cv2.imreadanimation(str(path))
    return animation if done and animation.frames else None
