"""Conversion of single values of COCO files: numbers as text, booleans as flags, floats as ids, null as nothing."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from edge.evaluation.coco import XYWH, Id
from edge.geometry import Size
from runtimes.errors import InputError

# No coordinate of a picture is beyond it, and float32 holds it exactly.
LARGEST = 1e7
LONGEST_ID = 200
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_FLAGS: dict[object, Literal[0, 1]] = {
    None: 0, 0: 0, 1: 1, "0": 0, "1": 1, "false": 0, "true": 1,
}  # fmt: skip


def id_of(value: Any, place: str) -> Id:
    """Return an id, the same for 7, 7.0, "7" and "7.0"; other text stays. Raises InputError for anything else."""
    if isinstance(value, str) and len(value) <= LONGEST_ID:
        text = value.strip()
        return int(text.partition(".")[0]) if _WHOLE.fullmatch(text) else text
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value // 1:
        return int(value)
    raise InputError(f"{place} is {short(value)}, not a whole number or text")


def number_of(value: Any, place: str) -> float:
    """Return a number, NaN for null and empty text; raises InputError for what is none."""
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except (TypeError, ValueError) as error:
        raise InputError(f"{place} is {short(value)}, not a number") from error


def side_of(value: Any, place: str) -> int | None:
    """Return a width or height in pixels; None for null, 0 and what is no size."""
    side = number_of(value, place)
    return int(side) if 1 <= side <= LARGEST else None


def count_of(value: Any) -> int | None:
    """Return a count, given as a number or its text; None for anything else."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def flag_of(value: Any, place: str) -> Literal[0, 1]:
    """Return a flag given as 0, 1, a boolean, their text, or null for 0; raises InputError for anything else."""
    known = value.strip().lower() if isinstance(value, str) else value
    if not isinstance(known, (list, dict)) and known in _FLAGS:
        return _FLAGS[known]
    raise InputError(f"{place} is {short(value)}, not 0 or 1")


def box_of(value: Any, place: str) -> XYWH | None:
    """Return a box unchecked, NaN for what is missing in it; None for null and an empty list."""
    if value is None or value == []:
        return None
    values = numbers_of(value, place)
    if len(values) != 4:
        raise InputError(f"{place} has {len(values)} values, not x, y, width, height")
    x, y, width, height = values
    return x, y, width, height


def head_wh_of(xywh: Any, xyxy: Any, place: str) -> tuple[float, float] | None:
    """Return a head box's width and height; None for a box without an extent.

    xywh: PoseTrack's `bbox_head`; xyxy: the `headbox` of MPII-TRB in mmpose. Raises InputError as `box_of`.
    """
    box, corners = box_of(xywh, f"{place}.bbox_head"), box_of(xyxy, f"{place}.headbox")
    if corners is not None and box is None:
        x0, y0, x1, y1 = corners
        box = (x0, y0, x1 - x0, y1 - y0)
    if box is None or not usable(box) or min(box[2:]) < 0 or max(box[2:]) == 0:
        return None
    return box[2:]


def numbers_of(value: Any, place: str) -> tuple[float, ...]:
    """Return a list of numbers, or of lists of them, flattened; null is no numbers, or NaN inside a list."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InputError(f"{place} is {short(value)}, not a list of numbers")
    try:
        return tuple(map(float, value))
    except (TypeError, ValueError, OverflowError):
        flat = [part for each in value for part in (each if isinstance(each, list) else [each])]
        return tuple(number_of(each, place) for each in flat)


def usable(values: Sequence[float]) -> bool:
    """Return whether coordinates are finite and within any picture."""
    # a sum with NaN in it is NaN, which equals nothing; files have millions of values, hence no loop
    total = sum(values)
    return not values or (min(values) >= -LARGEST and max(values) <= LARGEST and total == total)  # noqa: PLR0124


def is_usable(box: XYWH, wh: Size | None) -> bool:
    """Return whether a box has an area, part of it in its image."""
    x, y, width, height = box
    if not (usable(box) and width > 0 and height > 0):
        return False
    return wh is None or (x < wh[0] and y < wh[1] and x + width > 0 and y + height > 0)


def reaches_beyond(box: XYWH, wh: Size | None) -> bool:
    """Return whether a box ends outside its image, by more than rounding: corners read as a size do."""
    x, y, width, height = box
    return wh is not None and (x + width > 1.02 * wh[0] + 2 or y + height > 1.02 * wh[1] + 2)


def lies_far_outside(keypoints: tuple[float, ...], wh: Size | None) -> bool:
    """Return whether a labelled keypoint is more than half an image away from the image."""
    if wh is None:
        return False
    labelled = [keypoints[n : n + 2] for n in range(0, len(keypoints), 3) if keypoints[n + 2] > 0]
    return any(
        not -0.5 * side <= value <= 1.5 * side
        for xy in labelled
        for value, side in zip(xy, wh, strict=True)
    )


def short(value: Any) -> str:
    """Return a value in at most 60 characters of ASCII, for messages."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
