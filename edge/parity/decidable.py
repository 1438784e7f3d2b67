"""Decidable keypoints: those whose place in the reference's own outputs is beyond doubt, so that a difference is drift.

Judged on the reference alone. B images, K keypoints, N people in an image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.codecs.integral import mean_bins, normalise
from edge.types import F32, Keypoints
from runtimes.base import Outputs
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec, YxsCodec
from runtimes.spec import ModelSpec

# A peak is clear where it beats by this share every bin that is further than NEIGHBOURS bins from it on an axis.
MARGIN = 0.1
NEIGHBOURS = 2

Mask = NDArray[np.bool_]


def decidable_keypoints(outputs: Outputs, spec: ModelSpec) -> Mask | None:
    """Return which keypoints of single-person models are decidable, bool (B, K); None for codecs without keypoints.

    SimCC and heatmaps: the best bin beats every bin outside its 5-bin neighbourhood by 10 %. Integral regression: the
    same on the normalised map, and the map's mean lies in the best bin's neighbourhood too. Regressed keypoints have no
    bins: theirs must score the model's own threshold.
    """
    maps = [outputs[tensor.name] for tensor in spec.outputs]
    if isinstance(spec.codec, SimCCCodec):
        return _clear_peak(maps[0][:, :, None]) & _clear_peak(maps[1][:, :, None])
    if isinstance(spec.codec, HeatmapCodec):
        return _clear_peak(maps[0])
    if isinstance(spec.codec, IntegralCodec):
        return _clear_mean(normalise(maps[0], spec.codec))
    if isinstance(spec.codec, YxsCodec):
        confident: Mask = maps[0][:, 0, :, 2] >= spec.thresholds.keypoint
        return confident
    return None


def decidable_in_people(
    people: Sequence[Keypoints], heatmaps: F32, input_wh: tuple[int, int]
) -> Mask:
    """Return which keypoints of bottom-up people are decidable, bool (sum N, K), people in the images' order.

    heatmaps: (B, at least K, h, w). A keypoint must beat by 10 % all that lies outside the 5-bin neighbourhood of every
    person's peak: with one person this is the rule for single people, and a map of noise always has a rival somewhere.
    """
    clear = [_clear(found, maps, input_wh) for found, maps in zip(people, heatmaps, strict=True)]
    return np.concatenate(clear)


def _clear_peak(maps: NDArray[Any]) -> Mask:
    """(B, K, h, w) -> bool (B, K): the best value beats all outside its neighbourhood by MARGIN."""
    batch, points, height, width = maps.shape
    flat = maps.reshape(batch, points, -1)
    best = flat.max(axis=2)
    rows, columns = np.divmod(flat.argmax(axis=2), width)
    rival = np.where(_near(rows, columns, height, width), -np.inf, maps).max(axis=(2, 3))
    clear: Mask = (best > 0) & (best - rival >= MARGIN * np.abs(best))
    return clear


def _clear_mean(positive: NDArray[Any]) -> Mask:
    """(B, K, h, w), normalised -> bool (B, K): the peak is clear, and the mean lies in its neighbourhood.

    A mean elsewhere is drawn there by the background: it would hardly move, whatever became of the peak.
    """
    batch, points, _, width = positive.shape
    rows, columns = np.divmod(positive.reshape(batch, points, -1).argmax(axis=2), width)
    away = np.abs(mean_bins(positive) - np.stack([columns, rows], axis=2)).max(axis=2)
    clear: Mask = _clear_peak(positive) & (away <= NEIGHBOURS)
    return clear


def _clear(found: Keypoints, maps: F32, input_wh: tuple[int, int]) -> Mask:
    """Return bool (N, K) for the people of one image; maps (at least K, h, w)."""
    _, height, width = maps.shape
    seen = found.scores > 0
    bins = np.rint((found.xy + 0.5) * (width, height) / np.array(input_wh) - 0.5)
    near = _near(bins[..., 1], bins[..., 0], height, width) & seen[..., None, None]
    rival = np.where(near.any(axis=0), 0, maps[: found.xy.shape[1]]).max(axis=(1, 2))
    clear: Mask = seen & (found.scores - rival >= MARGIN * found.scores)
    return clear


def _near(rows: NDArray[Any], columns: NDArray[Any], height: int, width: int) -> Mask:
    """Return bool (..., h, w): the bins at most NEIGHBOURS from bin (row, column) (...,) on both axes."""
    near_row = np.abs(np.arange(height) - rows[..., None]) <= NEIGHBOURS
    near_column = np.abs(np.arange(width) - columns[..., None]) <= NEIGHBOURS
    near: Mask = near_row[..., :, None] & near_column[..., None, :]
    return near
