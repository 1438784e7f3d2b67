"""One look at a person: which region of the frame, turned and mirrored how, and the matrix that says so in pixels.

Knows geometry only: what a training crop shows is decided in `augment`, and cut out in `crops`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Crop, Size
from edge.types import F32, F64, check_shape
from runtimes.spec import CropSpec


@dataclass(frozen=True, slots=True)
class View:
    """A region of the frame: its centre and size (width, height) in pixels, turned by `turn_deg`, then `mirrored`.

    A positive turn moves the crop's content clockwise. The size is padded already, but not yet at the input's aspect.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    turn_deg: float = 0.0
    mirrored: bool = False


def view_of_box(box: F32, padding: float) -> View:
    """Return the view that deployment has of a box, float32 (4,) xyxy in frame pixels; no side counts under a pixel."""
    check_shape("box", box, (4,), np.float32)
    left, top, right, bottom = box.tolist()
    size = (max(right - left, 1.0) * padding, max(bottom - top, 1.0) * padding)
    return View(((left + right) / 2, (top + bottom) / 2), size)


def crop_of(view: View, crop: CropSpec, input_wh: Size) -> Crop:
    """Return the affine crop a view is: at rest, exactly what `edge.geometry.make_crops` gives for the box.

    The short side grows to the input's aspect (mmpose's TopdownAffine). A mirrored view is that of the mirrored frame,
    so that the person's pixels stay where the geometry says: x becomes `span - x`, with `span` the input's width, or
    with UDP one pixel less (arXiv:1911.07524).
    """
    span = np.array(input_wh, np.float64) - int(crop.udp)
    aspect = input_wh[0] / input_wh[1]
    width = max(view.size[0], view.size[1] * aspect)
    height = max(view.size[1], view.size[0] / aspect)
    scale = np.diag(span / (width, height))
    linear = scale @ _turn(view.turn_deg)
    if view.mirrored:
        linear = np.diag((-1.0, 1.0)) @ linear
    offset = span / 2 - linear @ np.array(view.centre)
    matrix = np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)
    return Crop(matrix, input_wh)


def relative(first: Crop, second: Crop) -> F64:
    """Return the matrix float64 (2, 3) that takes input pixels of one crop of a frame to those of another."""
    here, there = _square(first.matrix), _square(second.matrix)
    joined: F64 = (there @ np.linalg.inv(here))[:2]
    return joined


def in_bins(matrix: F64, from_stride: NDArray[np.float64], to_stride: NDArray[np.float64]) -> F64:
    """Return a matrix between input pixels as one between the bins of maps; strides are pixels a bin, as (x, y)."""
    linear = matrix[:, :2] * from_stride / to_stride[:, None]
    joined: F64 = np.concatenate([linear, (matrix[:, 2] / to_stride)[:, None]], axis=1)
    return joined


def _turn(degrees: float) -> F64:
    """Return the rotation (2, 2) that moves content clockwise on the screen, where y points down."""
    angle = math.radians(degrees)
    return np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))


def _square(matrix: F32) -> F64:
    return np.vstack([matrix.astype(np.float64), (0.0, 0.0, 1.0)])
