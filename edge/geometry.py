"""Crop matrices from frame regions to the network's input and back, and boxes around keypoints.

Geometry only; pixels are `edge.image`'s. Coordinates are x before y, 0-based.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, F64, Detections, Floats, Mask, check_shape
from runtimes.errors import InputError
from runtimes.spec import CropSpec

Size = tuple[int, int]


def check_boxes(boxes: Any, frame_wh: Size) -> F32:
    """Return boxes in a frame as float32 (N, 4) xyxy; an empty sequence has N = 0.

    Raises InputError for another shape, NaN, and boxes without area, with their corners exchanged or wholly outside the
    frame.
    """
    if isinstance(boxes, Detections):
        raise InputError("boxes must be (N, 4) xyxy, not Detections; pass .boxes, and .scores")
    try:
        found = np.asarray(boxes, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"boxes must be numbers (N, 4) xyxy, not {type(boxes).__name__} ({error})"
        ) from error
    if found.size == 0 and found.ndim <= 2 and found.shape[-1] in {0, 4}:
        return np.zeros((0, 4), np.float32)
    if found.ndim != 2 or found.shape[1] != 4:
        hint = "; one box is [[x0, y0, x1, y1]]" if found.shape == (4,) else ""
        raise InputError(f"boxes must be (N, 4) xyxy, not {found.shape}{hint}")
    bad = np.flatnonzero(~solid_boxes(found))
    if len(bad):
        box = ", ".join(f"{value:.6g}" for value in found[bad[0]].tolist()).replace("nan", "NaN")
        raise InputError(
            f"box {bad[0]} is [{box}]: {_fault(found[bad[0]])}; wanted x0 < x1 and y0 < y1"
        )
    outside = np.flatnonzero(~reaching(found, frame_wh))
    if len(outside):
        box = ", ".join(f"{value:.6g}" for value in found[outside[0]].tolist())
        raise InputError(
            f"box {outside[0]} is [{box}]: it lies outside the frame, {frame_wh[0]}x{frame_wh[1]}; "
            "leave it out, or scale it to the frame"
        )
    return found


def solid_boxes(boxes: F32) -> Mask:
    """Return which boxes float32 (N, 4) xyxy are finite and have an area, bool (N,)."""
    wide = boxes[:, 2:] > boxes[:, :2]
    solid: Mask = np.logical_and.reduce([*np.isfinite(boxes).T, *wide.T])
    return solid


def reaching(boxes: F32, frame_wh: Size) -> Mask:
    """Return which boxes float32 (N, 4) xyxy have a part inside the frame, bool (N,)."""
    inside: Mask = np.logical_and.reduce([*(boxes[:, :2] < frame_wh).T, *(boxes[:, 2:] > 0).T])
    return inside


def _fault(box: F32) -> str:
    if not np.isfinite(box).all():
        return "a coordinate is not finite"
    if (box[2:] < box[:2]).any():
        return "its corners are exchanged, or it is xywh"
    return "it has no area"


@dataclass(frozen=True, slots=True)
class Crop:
    """The affine map of a frame region to the network's input.

    `matrix` float32 (2, 3) maps frame pixels to input pixels; `wh` is the input size in pixels.
    """

    matrix: F32
    wh: Size

    def __post_init__(self) -> None:
        check_shape("Crop.matrix", self.matrix, (2, 3), np.float32)

    def to_input(self, xy: Floats) -> F32:
        """Map frame pixels (..., 2) to input pixels, float32 of the same shape."""
        a, b, tx, c, d, ty = self.matrix.ravel().tolist()
        mapped: F32 = (xy @ np.array(((a, c), (b, d))) + (tx, ty)).astype(np.float32)
        return mapped

    def to_frame(self, xy: Floats) -> F32:
        """Map input pixels (..., 2) to frame pixels, float32 of the same shape; the inverse of `to_input`."""
        a, b, tx, c, d, ty = self.matrix.ravel().tolist()
        determinant = a * d - b * c
        # Computed in float64: a crop of a tiny box has offsets a thousand times its extent.
        inverse = np.array(((d, -c), (-b, a))) / determinant
        mapped: F32 = ((xy - np.array((tx, ty))) @ inverse).astype(np.float32)
        return mapped


def make_crops(boxes: F32, frame_wh: Size, crop: CropSpec, input_wh: Size) -> list[Crop]:
    """Return one crop a box, by `crop.kind`; a letterbox takes the whole frame whatever the box.

    boxes: float32 (N, 4) xyxy in frame pixels; they may leave the frame, and sides under a pixel count as one pixel.
    """
    check_shape("boxes", boxes, (None, 4), np.float32)
    matrices = _MATRICES[crop.kind](boxes.astype(np.float64), frame_wh, crop, input_wh)
    return [Crop(matrix, input_wh) for matrix in matrices.astype(np.float32)]


def whole_frame(frame_wh: Size) -> F32:
    """Return the whole frame as the one box, float32 (1, 4) xyxy."""
    return np.array([[0, 0, *frame_wh]], np.float32)


def keypoint_boxes(xy: Floats, counted: Mask) -> Floats:
    """Return the smallest box around each person's keypoints that count, (N, 4) xyxy, in the dtype of `xy`.

    xy: (N, K, 2); counted: (N, K). A person without any has the empty box (inf, inf, -inf, -inf).
    """
    infinity = xy.dtype.type(np.inf)
    rows = np.ascontiguousarray(xy.transpose(0, 2, 1))  # minima along memory are ten times as fast
    low = np.where(counted[:, None], rows, infinity).min(axis=2, initial=infinity)
    high = np.where(counted[:, None], rows, -infinity).max(axis=2, initial=-infinity)
    return np.concatenate([low, high], axis=1)


def letterbox_wh(frame_wh: Size, input_wh: Size) -> Size:
    """Return the size of a frame inside a letterbox, in pixels: aspect kept, rounded half up (mmdet's Resize)."""
    scale = min(input_wh[0] / frame_wh[0], input_wh[1] / frame_wh[1])
    width, height = (max(int(side * scale + 0.5), 1) for side in frame_wh)
    return width, height


def stretch_boxes(boxes: Floats, frame_wh: Size) -> NDArray[np.int64]:
    """Return boxes (N, 4) xyxy rounded outwards to whole pixels inside the frame, at least one, for cv2.resize."""
    limit = np.array(frame_wh)
    low = np.clip(np.floor(boxes[:, :2]), 0, limit - 1)
    high = np.clip(np.ceil(boxes[:, 2:]), low + 1, limit)
    return np.concatenate([low, high], axis=1).astype(np.int64)


def _affine(boxes: F64, _frame_wh: Size, crop: CropSpec, input_wh: Size) -> F64:
    """Pad, grow the short side to the input's aspect, scale (mmpose's GetBBoxCenterScale and TopdownAffine).

    UDP measures sizes between pixel centres, hence one pixel less (arXiv:1911.07524).
    """
    centre, size = _centre_size(boxes, crop.padding)
    aspect = input_wh[0] / input_wh[1]
    size = np.maximum(size, size[:, ::-1] * (aspect, 1 / aspect))
    return _scale_about(centre, size, np.array(input_wh) - int(crop.udp))


def _square(boxes: F64, _frame_wh: Size, crop: CropSpec, input_wh: Size) -> F64:
    """Pad, grow the short side to the long one, scale (MoveNet's crop)."""
    centre, size = _centre_size(boxes, crop.padding)
    square = np.repeat(size.max(axis=1, keepdims=True), 2, axis=1)
    return _scale_about(centre, square, np.array(input_wh))


def _letterbox(boxes: F64, frame_wh: Size, _crop: CropSpec, input_wh: Size) -> F64:
    """Scale the frame to the top left; each axis has its own factor, since sizes are rounded to pixels."""
    factors = np.array(letterbox_wh(frame_wh, input_wh)) / frame_wh
    return _matrices(np.tile(factors, (len(boxes), 1)), np.zeros((len(boxes), 2)))


def _letterbox_centre(boxes: F64, frame_wh: Size, crop: CropSpec, input_wh: Size) -> F64:
    """Scale the frame to the middle; of an odd border the larger part is right and below (Ultralytics' LetterBox)."""
    matrices = _letterbox(boxes, frame_wh, crop, input_wh)
    matrices[:, :, 2] = (np.array(input_wh) - letterbox_wh(frame_wh, input_wh)) // 2
    return matrices


def _stretch(boxes: F64, frame_wh: Size, _crop: CropSpec, input_wh: Size) -> F64:
    """Scale the box to the whole input, each axis by its own factor."""
    whole = stretch_boxes(boxes, frame_wh)
    factors = input_wh / (whole[:, 2:] - whole[:, :2])
    return _matrices(factors, -whole[:, :2] * factors)


def _centre_size(boxes: F64, padding: float) -> tuple[F64, F64]:
    """Return centres (N, 2) and padded sizes (N, 2), no side under a pixel before padding."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return (low + high) / 2, np.maximum(high - low, 1.0) * padding


def _scale_about(centre: F64, size: F64, span: NDArray[np.int64]) -> F64:
    """Return matrices that map regions of that centre and size (N, 2) to 0..span."""
    factors = span / size
    return _matrices(factors, (size / 2 - centre) * factors)


def _matrices(factors: F64, offsets: F64) -> F64:
    """Return (N, 2, 3) matrices of x and y factors (N, 2) and offsets (N, 2)."""
    matrices = np.zeros((len(factors), 2, 3))
    matrices[:, (0, 1), (0, 1)] = factors
    matrices[:, :, 2] = offsets
    return matrices


_MATRICES: dict[str, Callable[[F64, Size, CropSpec, Size], F64]] = {
    "affine": _affine,
    "letterbox": _letterbox,
    "letterbox-centre": _letterbox_centre,
    "square": _square,
    "stretch": _stretch,
}
