"""Geometry of a training crop: a rotated, flipped region of the frame, and the affine matrix that cuts it out.

Pure geometry: views are randomised in `augment`, pixels are warped in `samples`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Crop, Size
from edge.types import F32, F64, check_shape
from runtimes.spec import CropSpec


@dataclass(frozen=True, slots=True)
class CropView:
    """A region of the frame: centre and size (width, height) in pixels, rotated by `rotation_deg`, then `flipped`.

    A positive rotation turns the crop's content clockwise. The size includes padding but is not yet at the input's
    aspect ratio.
    """

    centre: tuple[float, float]
    size: tuple[float, float]
    rotation_deg: float = 0.0
    flipped: bool = False


def box_view(box: F32, padding: float) -> CropView:
    """Return the view used at inference for a box, float32 (4,) xyxy in frame pixels; sides are at least 1 pixel."""
    check_shape("box", box, (4,), np.float32)
    left, top, right, bottom = box.tolist()
    size = (max(right - left, 1.0) * padding, max(bottom - top, 1.0) * padding)
    return CropView(((left + right) / 2, (top + bottom) / 2), size)


def view_crop(view: CropView, crop: CropSpec, input_wh: Size) -> Crop:
    """Return the affine crop of a view: without augmentation, exactly `edge.geometry.make_crops` of the box.

    The short side grows to the input's aspect ratio (mmpose's TopdownAffine). A flipped view is the view of the flipped
    frame: x becomes `span - x`, where `span` is the input's width, or one pixel less with UDP (arXiv:1911.07524).
    """
    span = np.array(input_wh, np.float64) - int(crop.udp)
    aspect = input_wh[0] / input_wh[1]
    width = max(view.size[0], view.size[1] * aspect)
    height = max(view.size[1], view.size[0] / aspect)
    scale = np.diag(span / (width, height))
    linear = scale @ _rotation(view.rotation_deg)
    if view.flipped:
        linear = np.diag((-1.0, 1.0)) @ linear
    offset = span / 2 - linear @ np.array(view.centre)
    matrix = np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)
    return Crop(matrix, input_wh)


def crop_to_crop(source: Crop, target: Crop) -> F64:
    """Return the matrix float64 (2, 3) from input pixels of one crop of a frame to input pixels of another."""
    frame_to_source, frame_to_target = _homogeneous(source.matrix), _homogeneous(target.matrix)
    joined: F64 = (frame_to_target @ np.linalg.inv(frame_to_source))[:2]
    return joined


def to_bins(matrix: F64, from_stride: NDArray[np.float64], to_stride: NDArray[np.float64]) -> F64:
    """Return a matrix between input pixels as one between heatmap bins; strides are pixels per bin, (x, y)."""
    linear = matrix[:, :2] * from_stride / to_stride[:, None]
    joined: F64 = np.concatenate([linear, (matrix[:, 2] / to_stride)[:, None]], axis=1)
    return joined


def _rotation(degrees: float) -> F64:
    """Return the rotation (2, 2) that turns content clockwise on the screen, where y points down."""
    angle = math.radians(degrees)
    return np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))


def _homogeneous(matrix: F32) -> F64:
    return np.vstack([matrix.astype(np.float64), (0.0, 0.0, 1.0)])
