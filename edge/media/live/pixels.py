"""Raw frames: pixel formats by name, and how each becomes BGR."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge.types import U8


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Bytes of a frame of `wh`, and the conversion of uint8 (bytes,) to BGR (H, W, 3)."""

    count: Callable[[int, int], int]
    to_bgr: Callable[[U8, int, int], U8]


def _packed(data: U8, width: int, height: int) -> U8:
    return data.reshape(height, width, 3)


def _rgb(data: U8, width: int, height: int) -> U8:
    return np.ascontiguousarray(data.reshape(height, width, 3)[..., ::-1])


def _grey(data: U8, width: int, height: int) -> U8:
    return np.repeat(data.reshape(height, width, 1), 3, axis=2)


def _chroma(width: int, height: int) -> tuple[int, int]:
    return (width + 1) // 2, (height + 1) // 2


def _count_420(width: int, height: int) -> int:
    across, down = _chroma(width, height)
    return width * height + 2 * across * down


def _planes_420(data: U8, width: int, height: int) -> tuple[U8, U8, U8]:
    """Split Y, U and V planes; chroma of odd sizes is rounded up."""
    across, down = _chroma(width, height)
    luma, blue, red = np.split(data, [width * height, width * height + across * down])
    return luma.reshape(height, width), blue.reshape(down, across), red.reshape(down, across)


def _planes_nv12(data: U8, width: int, height: int) -> tuple[U8, U8, U8]:
    """Split a Y plane and one of U and V in turn."""
    across, down = _chroma(width, height)
    luma, rest = np.split(data, [width * height])
    pairs = rest.reshape(down, across, 2)
    return luma.reshape(height, width), pairs[..., 0], pairs[..., 1]


def _limited_to_bgr(luma: U8, blue: U8, red: U8) -> U8:
    """Convert by BT.601 where luma is 16 to 235 and chroma 16 to 240."""
    height, width = luma.shape
    even = np.pad(luma, ((0, height % 2), (0, width % 2)), mode="edge")
    planes = np.concatenate([even.ravel(), blue.ravel(), red.ravel()])
    stacked = planes.reshape(even.shape[0] * 3 // 2, even.shape[1])
    image = cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420)
    return np.ascontiguousarray(image[:height, :width], np.uint8)


def _full_to_bgr(luma: U8, blue: U8, red: U8) -> U8:
    """Convert by BT.601 where luma and chroma are 0 to 255, as in JPEG."""
    height, width = luma.shape
    wide = [plane.repeat(2, axis=0).repeat(2, axis=1)[:height, :width] for plane in (red, blue)]
    return np.asarray(cv2.cvtColor(np.dstack([luma, *wide]), cv2.COLOR_YCrCb2BGR), np.uint8)


def _grey_limited(data: U8, width: int, height: int) -> U8:
    """Convert luma of 16 to 235."""
    levels = np.rint((np.arange(256) - 16) * (255 / 219)).clip(0, 255).astype(np.uint8)
    return _grey(levels[data], width, height)


PIXEL_FORMATS: dict[str, PixelFormat] = {
    "bgr24": PixelFormat(lambda width, height: 3 * width * height, _packed),
    "rgb24": PixelFormat(lambda width, height: 3 * width * height, _rgb),
    "gray": PixelFormat(lambda width, height: width * height, _grey),
    "gray-limited": PixelFormat(lambda width, height: width * height, _grey_limited),
    "nv12": PixelFormat(_count_420, lambda *frame: _limited_to_bgr(*_planes_nv12(*frame))),
    "yuv420p": PixelFormat(_count_420, lambda *frame: _limited_to_bgr(*_planes_420(*frame))),
    "yuvj420p": PixelFormat(_count_420, lambda *frame: _full_to_bgr(*_planes_420(*frame))),
}
