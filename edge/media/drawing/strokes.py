"""Strokes on an image, in place: segments, dots and labels, opaque or blended, at 1/16 pixel."""

import cv2
import numpy as np

from edge.media.drawing.style import Colour, text_colour
from edge.types import F32, I32, U8

OUTLINE: Colour = (20, 20, 20)
FONT = cv2.FONT_HERSHEY_SIMPLEX

_SHIFT = 4
"""Fractional bits of OpenCV's drawing coordinates: 1/16 pixel."""
_FAR_PX = 1 << 20


def near(places: F32) -> F32:
    """Return coordinates clipped to what OpenCV's 32-bit fixed point can hold."""
    clipped: F32 = np.clip(places, -_FAR_PX, _FAR_PX)
    return clipped


def paint_segments(canvas: U8, segments: F32, colour: Colour, thickness: int) -> None:
    """Draw segments float32 (S, 2, 2) of one colour."""
    if len(segments):
        ends = list(_fixed(segments))
        cv2.polylines(canvas, ends, False, colour, thickness, cv2.LINE_AA, _SHIFT)


def blend_segments(
    canvas: U8, segments: F32, colour: Colour, thickness: int, outline: int, alpha: float
) -> None:
    """Draw segments float32 (S, 2, 2) with an outline, `alpha` of them over what is there."""
    if not len(segments):
        return
    if alpha == 1:
        paint_segments(canvas, segments, OUTLINE, outline)
        paint_segments(canvas, segments, colour, thickness)
        return
    height, width = canvas.shape[:2]
    reach = outline + 2
    low = np.floor(segments.min(axis=(0, 1))).astype(int) - reach
    high = np.ceil(segments.max(axis=(0, 1))).astype(int) + reach
    left, top = max(int(low[0]), 0), max(int(low[1]), 0)
    right, bottom = min(int(high[0]), width), min(int(high[1]), height)
    if left >= right or top >= bottom:
        return
    under = canvas[top:bottom, left:right]
    over = under.copy()
    moved = (segments - np.array([left, top])).astype(np.float32)
    paint_segments(over, moved, OUTLINE, outline)
    paint_segments(over, moved, colour, thickness)
    cv2.addWeighted(over, alpha, under, 1 - alpha, 0, dst=under)


def dashes(segment: F32, length_px: float) -> F32:
    """Return the dashes of a segment float32 (2, 2) as segments (S, 2, 2): dashes and gaps of about this length."""
    first, second = segment
    reach = float(np.hypot(*(second - first)))
    count = int(np.clip(round((reach / length_px + 1) / 2), 1, 200))
    starts = np.arange(0, 2 * count - 1, 2, dtype=np.float32)
    shares = np.stack([starts, starts + 1], axis=1) / np.float32(2 * count - 1)
    placed: F32 = first + shares[..., None] * (second - first)
    return placed


def paint_dots(
    canvas: U8, centres: F32, colour: Colour, radius_px: float, outline_px: float
) -> None:
    """Draw filled circles at centres float32 (N, 2), on a dark rim unless `outline_px` is 0."""
    size = round(radius_px * (1 << _SHIFT))
    rim = round((radius_px + outline_px) * (1 << _SHIFT))
    for place in _fixed(centres).tolist():
        if outline_px:
            cv2.circle(canvas, place, rim, OUTLINE, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, place, size, colour, -1, cv2.LINE_AA, _SHIFT)


def paint_box(canvas: U8, box: F32, colour: Colour, thickness: int) -> None:
    """Draw the edges of a box float32 (4,) xyxy, with an outline."""
    first, second = _fixed(box.reshape(2, 2)).tolist()
    cv2.rectangle(canvas, first, second, OUTLINE, thickness + 2, cv2.LINE_AA, _SHIFT)
    cv2.rectangle(canvas, first, second, colour, thickness, cv2.LINE_AA, _SHIFT)


def paint_label(canvas: U8, text: str, corner: tuple[int, int], background: Colour) -> None:
    """Write text on a plate whose lower left corner is `corner`, moved into the image if needed."""
    height, width = canvas.shape[:2]
    scale = float(np.clip(min(height, width) / 1100, 0.4, 2.0))
    bold = max(1, round(1.6 * scale))
    (wide, tall), below = cv2.getTextSize(text, FONT, scale, bold)
    wide, tall = wide + 6, tall + below + 4
    left = int(np.clip(corner[0], 0, max(0, width - wide)))
    bottom = int(np.clip(corner[1], min(tall, height), height))
    cv2.rectangle(canvas, (left, bottom - tall), (left + wide, bottom), background, -1)
    cv2.rectangle(canvas, (left, bottom - tall), (left + wide, bottom), OUTLINE, 1)
    place = (left + 3, bottom - below - 1)
    cv2.putText(canvas, text, place, FONT, scale, text_colour(background), bold, cv2.LINE_AA)


def _fixed(places: F32) -> I32:
    fixed: I32 = np.rint(places * (1 << _SHIFT)).astype(np.int32)
    return fixed
