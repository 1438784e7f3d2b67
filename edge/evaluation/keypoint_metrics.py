"""Pixel errors and PCK of keypoints; COCO's AP is in average_precision.py.

N people, K keypoints; xy and truth (N, K, 2) in the same pixels; counted bool (N, K): the keypoints that count.
"""

import numpy as np

from edge.types import F64, Floats, Mask, check_shape
from runtimes.errors import InputError


def pixel_errors(xy: Floats, truth: Floats, counted: Mask) -> F64:
    """Return the distances of xy from truth, float64 (n,), of the keypoints that count, person by person."""
    return _distances(xy, truth, counted)[counted]


def pck(xy: Floats, truth: Floats, counted: Mask, sizes: Floats, threshold: float) -> float:
    """Return the share of keypoints within threshold * size of the truth, 0 to 1; nan where none counts.

    sizes: (N,) pixels, each person's torso, head or box side; raises InputError where one is not positive.
    Percentage of correct keypoints: Yang and Ramanan, PAMI 2013.
    """
    if len(sizes) != len(xy) or not (sizes > 0).all():
        raise InputError("pck needs one size in pixels for each person, all above 0")
    near = _distances(xy, truth, counted) <= threshold * sizes[:, None]
    return float(near[counted].mean()) if counted.any() else np.nan


def _distances(xy: Floats, truth: Floats, counted: Mask) -> F64:
    if xy.shape != truth.shape or xy.shape[-1:] != (2,):
        raise InputError(f"xy {xy.shape} and truth {truth.shape} must both be (N, K, 2)")
    check_shape("counted", counted, xy.shape[:2], np.bool_)
    distances: F64 = np.linalg.norm(xy.astype(np.float64) - truth, axis=2)
    return distances
