"""Decidable keypoints: those whose place in the reference's own outputs is beyond doubt, so that a difference is drift.

Judged on the reference alone. B images, K keypoints, N people in an image.

A keypoint was trained to be a Gaussian of the codec's sigma: with its best bin p and the distance
d(q) = |(q - p) / sigma|, a single peak gives v(q) = v(p) exp(-d^2 / 2). Bins q of at least 90 % of v(p) are those
that drift may lift to the top. A single peak keeps them within d = sqrt(2 ln(1 / .9)) = .46. The keypoint is
undecidable where v(p) is not positive, and where
  flat       one of them is farther than d = 3, where the peak itself has gone (1 %; mmpose's MSRAHeatmap ends there):
             a second peak, or one 3 / .46 = 6.5 times as broad as the label
  two peaks  one of them, from d = 2 on, is cut off from p: on the straight line between them values fall under 90 % of
             its own. The sum of two equal peaks at a distance D has one maximum up to D = 2, and a valley of
             2 exp(-D^2 / 8), that deep from D = 2.53; the second maximum is then farther than d = 2 from the first
  spike      the bins beside p, within half a sigma, hold less than half of what a peak has there: noise
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

# The share by which a peak must beat its rivals.
MARGIN = 0.1
# Sigmas from the best bin: a single peak has gone, and two peaks have a valley between them.
REACH, APART = 3.0, 2.0
# The share of a peak that the bins beside its best one must hold.
SHOULDERS = 0.5
# Where the codec's sigma is not known, rivals are all bins farther than so many from the best one on an axis.
NEIGHBOURS = 2

Mask = NDArray[np.bool_]
# Bins (M, 2), row and column.
Bins = NDArray[np.int_]
Sigma = tuple[float, float]


def decidable_keypoints(outputs: Outputs, spec: ModelSpec) -> Mask | None:
    """Return which keypoints of single-person models are decidable, bool (B, K); None for codecs without keypoints.

    SimCC (both axes) and heatmaps: one peak, as above; without a sigma (artifacts of earlier releases) the best bin
    beats every bin outside its 5-bin neighbourhood by 10 %. Integral regression, whose maps are free in width: the
    latter on the normalised map, and the map's mean lies in the best bin's neighbourhood too. Regressed keypoints have
    no bins: theirs must score the model's own threshold.
    """
    maps = [outputs[tensor.name] for tensor in spec.outputs]
    if isinstance(spec.codec, SimCCCodec):
        return _decided(maps[0][:, :, None], _across(spec.codec.sigma, 0)) & _decided(
            maps[1][:, :, None], _across(spec.codec.sigma, 1)
        )
    if isinstance(spec.codec, HeatmapCodec):
        return _decided(maps[0], spec.codec.sigma)
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


def confident_in_people(people: Sequence[Keypoints], threshold: float) -> Mask:
    """Return which keypoints of regressed people score the threshold, bool (sum N, K), people in the images' order."""
    return np.concatenate([found.scores >= threshold for found in people])


def _across(sigma: Sigma | None, axis: int) -> Sigma | None:
    """Return the sigma of the bins of one axis of SimCC, laid out as a map of one row."""
    return sigma and (sigma[axis], 1.0)


def _decided(maps: NDArray[Any], sigma: Sigma | None) -> Mask:
    """(B, K, h, w) -> bool (B, K)."""
    if sigma is None:
        return _clear_peak(maps)
    # image by image: the masks of all of them at once are as large as the maps
    return np.stack([~np.any([*find_doubts(image, sigma).values()], axis=0) for image in maps])


def find_doubts(maps: NDArray[Any], sigma: Sigma) -> dict[str, Mask]:
    """Return why maps (K, h, w) are not one peak of that sigma: bool (K,) by reason."""
    points, _, width = maps.shape
    best = maps.reshape(points, -1).argmax(axis=1)
    peaks = np.stack([best // width, best % width], axis=1)
    top = maps[np.arange(points), peaks[:, 0], peaks[:, 1]]
    point, *bins = np.nonzero(maps >= (1 - MARGIN) * top[:, None, None])
    high = np.stack(bins, axis=1)
    away = np.hypot(*((high - peaks[point]) / sigma[::-1]).T)
    flat, cut = np.zeros(points, bool), np.zeros(points, bool)
    flat[point[away > REACH]] = True
    beyond = np.flatnonzero((away > APART) & (away <= REACH))
    valley = _behind_valley(maps, point[beyond], peaks[point[beyond]], high[beyond])
    cut[point[beyond[valley]]] = True
    return {
        "not positive": ~(top > 0),
        "flat": flat,
        "two peaks": cut,
        "spike": _is_spike(maps, peaks, top, sigma),
    }


def _behind_valley(maps: NDArray[Any], point: Bins, peak: Bins, rival: Bins) -> Mask:
    """Return which of M bins (M, 2) are cut off from the peaks (M, 2) of their maps, number `point` (M,)."""
    steps = int(np.abs(rival - peak).max(initial=1))
    part = np.arange(1, steps)[:, None, None] / steps
    rows, columns = np.moveaxis(np.rint(peak + part * (rival - peak)).astype(int), 2, 0)
    lowest = maps[point, rows, columns].min(axis=0, initial=np.inf)
    cut: Mask = lowest < (1 - MARGIN) * maps[point, rival[:, 0], rival[:, 1]]
    return cut


def _is_spike(maps: NDArray[Any], peaks: Bins, top: NDArray[Any], sigma: Sigma) -> Mask:
    """Return which of the maps (K, h, w) have less than SHOULDERS of a peak beside their best bins (K, 2)."""
    _, height, width = maps.shape
    down, across = (max(1, int(each / 2)) for each in sigma[::-1])
    beside = np.mgrid[-down : down + 1, -across : across + 1].reshape(2, -1).T
    beside = beside[beside.any(axis=1)]
    bins = peaks[:, None] + beside
    inside = ((bins >= 0) & (bins < (height, width))).all(axis=2)
    rows, columns = np.moveaxis(np.where(inside[..., None], bins, 0), 2, 0)
    held = np.where(inside, maps[np.arange(len(maps))[:, None], rows, columns], 0).sum(axis=1)
    label = np.exp(-0.5 * np.square(beside / sigma[::-1]).sum(axis=1))
    spike: Mask = held < SHOULDERS * top * np.where(inside, label, 0).sum(axis=1)
    return spike


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
