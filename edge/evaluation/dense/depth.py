"""Errors of depth maps: RMSE, relative error and the share within a factor of 1.25 (Eigen et al., NeurIPS 2014)."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from edge.types import F32, F64, Mask

Align = Literal["scale-shift", "none"]
FACTOR = 1.25


def depth_figures(depth: F32, truth: F32, counts: Mask, align: Align) -> dict[str, float] | None:
    """Return one image's RMSE (in the truth's unit), AbsRel and delta1; None where no pixel counts.

    depth, truth: float32 (H, W); counts: bool (H, W). align: "scale-shift" fits the depth to the truth by the scale and
    shift of least squares first, as models of relative depth need (MiDaS, arXiv:1907.01341, eq. 4, there of inverse
    depth); "none" compares metres with metres.
    """
    if not counts.any():
        return None
    theirs = truth[counts].astype(np.float64)
    ours = _ALIGN[align](depth[counts].astype(np.float64), theirs)
    off = ours - theirs
    within = (ours < FACTOR * theirs) & (ours * FACTOR > theirs)
    return {
        "RMSE": float(np.sqrt(np.square(off).mean())),
        "AbsRel": float((np.abs(off) / theirs).mean()),
        "delta1": float(within.mean()),
    }


def fit_scale_shift(depth: F64, truth: F64) -> F64:
    """Return depth * scale + shift, nearest to the truth by least squares; a constant becomes the truth's mean."""
    centred = depth - depth.mean()
    spread = np.square(centred).sum()
    scale = (centred * (truth - truth.mean())).sum() / spread if spread else 0.0
    fitted: F64 = scale * centred + truth.mean()
    return fitted


_ALIGN: dict[Align, Callable[[F64, F64], F64]] = {
    "scale-shift": fit_scale_shift,
    "none": lambda depth, _truth: depth,
}
