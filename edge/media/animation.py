"""Image files of several images: animations that FFmpeg does not play, and the pages of a TIFF."""

import itertools
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edge.image import TIFF_MARKS, quiet_opencv
from edge.media.source import Losses, Source
from edge.media.video import DEFAULT_FPS
from edge.types import U8, Frame, counted
from runtimes.errors import SourceError, warn

Animated = Literal["gif", "png", "webp", "avif", "tiff"]

# A format, and the offset and value of the bytes that mark it.
_MARKS: tuple[tuple[Animated, int, bytes], ...] = (
    ("gif", 0, b"GIF8"),
    ("png", 0, b"\x89PNG"),
    ("webp", 8, b"WEBP"),
    ("avif", 4, b"ftyp"),
    *(("tiff", 0, mark) for mark in TIFF_MARKS),
)


def animation_format(path: Path) -> Animated | None:
    """Return the format of an image file that holds several frames or pages; None for a still."""
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


def open_pages(path: Path, fps: float) -> Source:
    """Return the pages of a TIFF, such as a microscope's stack, as frames, read one by one.

    Pages of another size than the first, such as thumbnails, are left out with a warning. Raises SourceError where the
    first cannot be read.
    """
    with quiet_opencv():
        count = cv2.imcount(str(path))
    losses = Losses()
    pages = _pages(path, count, fps, losses)
    first = next(pages, None)
    if first is None:
        raise SourceError(f"{path}: OpenCV reads none of its {count} pages; convert it to PNG")
    return Source(
        fps,
        count,
        live=False,
        _frames=itertools.chain((first,), pages),
        _close=pages.close,
        losses=losses,
    )


def _pages(path: Path, count: int, fps: float, losses: Losses) -> Generator[Frame]:
    size, others = None, 0
    for index in range(count):
        name = f"{path.stem}_{index:06d}"
        image = _page(path, index)
        if image is None:
            losses.unread += 1
            losses.broken.append(name)
            continue
        size = size or image.shape
        if image.shape != size:
            others += 1
            continue
        yield Frame(image, index, index / fps, name)
    if others:
        warn(
            f"{path}: {counted(others, 'page')} of another size than the first left out, as thumbnails"
        )


def _page(path: Path, index: int) -> U8 | None:
    """Return a page uint8 BGR (H, W, 3); None where it cannot be read."""
    try:
        with quiet_opencv():
            done, read = cv2.imreadmulti(str(path), start=index, count=1, flags=cv2.IMREAD_COLOR)
    except cv2.error:
        return None
    return np.ascontiguousarray(read[0]) if done and read else None


def _read(path: Path) -> Any:
    """Return OpenCV's animation; None where it cannot be read."""
    if not hasattr(cv2, "imreadanimation"):  # it came with OpenCV 4.11
        return None
    with quiet_opencv():
        done, animation = cv2.imreadanimation(str(path))
    return animation if done and animation.frames else None
