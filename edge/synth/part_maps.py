"""Ground-truth part heatmaps and part affinity fields of given people, as OpenPose's training targets.

For tests and benchmarks of the `paf` codec, where the truth must be known. Everything is in bins of the maps.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.types import F32
from runtimes.codec_spec import PafLimb

SIGMA = 0.875  # of a part's Gaussian: 7 pixels at stride 8
HALF_WIDTH = 1.0  # of a limb's field
F64 = NDArray[np.float64]


def draw_part_maps(
    xy: F64, seen: NDArray[np.bool_], limbs: Sequence[PafLimb], wh: tuple[int, int]
) -> tuple[F32, F32]:
    """Return heatmaps (K + 1, h, w), the last the background, and fields (2 L, h, w) of people at xy (N, K, 2).

    seen: (N, K); limbs with an end unseen have no field. Where people overlap, heatmaps take the highest and fields
    the mean (arXiv:1812.08008, section 3).
    """
    return _heatmaps(xy, seen, wh), _fields(xy, seen, limbs, wh)


def _heatmaps(xy: F64, seen: NDArray[np.bool_], wh: tuple[int, int]) -> F32:
    # a 2D Gaussian is the product of two 1D ones
    across, down = (
        np.exp(-np.square(np.arange(size) - xy[..., axis, None]) / (2 * SIGMA**2))
        for axis, size in enumerate(wh)
    )
    gaussians = (down * seen[..., None])[..., :, None] * across[..., None, :]
    parts = gaussians.max(axis=0, initial=0)
    return np.concatenate([parts, 1 - parts.max(axis=0, keepdims=True)]).astype(np.float32)


def _fields(xy: F64, seen: NDArray[np.bool_], limbs: Sequence[PafLimb], wh: tuple[int, int]) -> F32:
    fields = np.zeros((2 * len(limbs), wh[1], wh[0]), np.float32)
    columns, lines = np.meshgrid(np.arange(wh[0]), np.arange(wh[1]))
    for limb in limbs:
        first, second = limb.ends
        both = seen[:, first] & seen[:, second]
        start, way = xy[both, first], xy[both, second] - xy[both, first]
        length = np.maximum(np.hypot(*way.T), 1e-6)[:, None, None]
        x, y = (axis[:, None, None] / length for axis in way.T)
        right = columns - start[:, 0, None, None]
        below = lines - start[:, 1, None, None]
        along, beside = right * x + below * y, np.abs(below * x - right * y)
        inside = (along >= -HALF_WIDTH) & (along <= length + HALF_WIDTH) & (beside <= HALF_WIDTH)
        drawn = np.maximum(inside.sum(axis=0), 1)
        for channel, component in zip(limb.channels, (x, y), strict=True):
            fields[channel] = (inside * component).sum(axis=0) / drawn
    return fields
