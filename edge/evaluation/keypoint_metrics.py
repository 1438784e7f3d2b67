"""How far keypoints lie from where they should: pixel errors, PCK, OKS. Numbers only; COCO's AP is in evaluate.py.

N people, K keypoints; xy (N, K, 2) in any pixels that both sides share; counted: bool (N, K), the points judged.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import check_shape
from runtimes.errors import InputError

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PixelErrors:
    """Distances in pixels over `count` points; nan where there are none."""

    mean: float
    p95: float
    max: float
    count: int


def pixel_errors(xy: Floats, truth: Floats, counted: Mask) -> PixelErrors:
    """Return statistics of the distances between xy and truth."""
    errors = _distances(xy, truth, counted)[counted]
    if not errors.size:
        return PixelErrors(np.nan, np.nan, np.nan, 0)
    return PixelErrors(
        float(errors.mean()), float(np.percentile(errors, 95)), float(errors.max()), errors.size
    )


def pck(xy: Floats, truth: Floats, counted: Mask, sizes: Floats, threshold: float) -> float:
    """Return the share of points within threshold * size of the truth, 0 to 1; nan where none counts.

    sizes: (N,) pixels, what a person is measured by: torso, head or box side; InputError where one is not positive.
    Percentage of correct keypoints: Yang and Ramanan, PAMI 2013.
    """
    if len(sizes) != len(xy) or not (sizes > 0).all():
        raise InputError("pck wants one size in pixels for each person, all above 0")
    near = _distances(xy, truth, counted) <= threshold * sizes[:, None]
    return float(near[counted].mean()) if counted.any() else np.nan


def oks(xy: Floats, truth: Floats, counted: Mask, areas: Floats, sigmas: Floats) -> F64:
    """Return each person's object keypoint similarity, float64 (N,), 0 to 1; nan for one with no point that counts.

    areas: (N,) square pixels; sigmas: (K,). COCO's definition, cocodataset.org/#keypoints-eval.
    """
    spread = 2 * (2 * np.asarray(sigmas, np.float64)) ** 2 * (areas[:, None] + np.spacing(1))
    similarity = np.exp(-(_distances(xy, truth, counted) ** 2) / spread)
    counts = counted.sum(axis=1)
    total = np.where(counted, similarity, 0).sum(axis=1)
    result: F64 = np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
    return result


def _distances(xy: Floats, truth: Floats, counted: Mask) -> F64:
    if xy.shape != truth.shape or xy.shape[-1:] != (2,):
        raise InputError(f"xy {xy.shape} and truth {truth.shape} must both be (N, K, 2)")
    check_shape("counted", counted, xy.shape[:2], np.bool_)
    distances: F64 = np.linalg.norm(xy.astype(np.float64) - truth, axis=2)
    return distances
