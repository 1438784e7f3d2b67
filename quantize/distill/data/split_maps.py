"""Heatmaps split into main peak and rest, so that a teacher's peaks keep the width of labels in any view.

A network gives peaks of its labels' width in the pixels of its own input, whatever the size of the person in it. Maps
warped into a view of s times the scale have peaks s times as wide, which contradict the labels there. So the Gaussian
of the main peak is taken out of each map, and drawn again in the new view with the width of that view's labels; the
rest of the map, where the network is unsure, is warped. A teacher that gives exactly its labels then asks for exactly
the student's: T(X) of the student's own input, as ViTPose++ has it (arXiv:2212.04246, equations 6 and 9).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, F64, check_shape
from quantize.distill.data.targets import heatmaps

LOG_FLOOR = 1e-3  # of a map's peak, before taking logarithms
INSIDE_REACH, EDGE_REACH = 0.5, 1.0  # bins from the highest bin to the peak, at most
DEFAULT_SIGMA = 2.0  # bins, of a peak at the edge of a map whose sigma is unknown
SIGMA_RANGE = (0.5, 8.0)  # bins, of fitted peaks

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SplitMaps:
    """Heatmaps of B crops and K keypoints.

    xy: float32 (B, K, 2), main peaks in input pixels; heights: float32 (B, K), of the maps there, 0 for a map without
    a positive value; amplitudes: float32 (B, K), of the Gaussian taken out, less than the height where the peak is
    broader than a label; rest: float32 (B, K, h, w), the maps without these Gaussians.
    """

    xy: F32
    heights: F32
    amplitudes: F32
    rest: F32

    def __post_init__(self) -> None:
        check_shape("SplitMaps.rest", self.rest, (None,) * 4, np.float32)
        batch, count = self.rest.shape[:2]
        check_shape("SplitMaps.xy", self.xy, (batch, count, 2), np.float32)
        check_shape("SplitMaps.heights", self.heights, (batch, count), np.float32)
        check_shape("SplitMaps.amplitudes", self.amplitudes, (batch, count), np.float32)


def split_maps(maps: F32, stride: F64, sigma: F64 | None) -> SplitMaps:
    """Return maps (B, K, h, w) as main peaks and rest.

    stride: input pixels per bin, (x, y); sigma: of the Gaussian the network learned, in bins, (x, y), or None to take
    each peak's own. The logarithm of a Gaussian is a parabola: the highest bin and its neighbours give the centre, and
    their curvature how much of the peak is a Gaussian of that sigma.
    """
    batch, count, height, width = maps.shape
    flat = maps.reshape(-1, height, width)
    rows, columns = np.divmod(flat.reshape(len(flat), -1).argmax(axis=1), width)
    numbers = np.arange(len(flat))
    highest = np.maximum(flat[numbers, rows, columns], 0).astype(np.float64)
    across = _fit(flat[numbers, rows], columns, highest, None if sigma is None else sigma[0])
    down = _fit(flat[numbers, :, columns], rows, highest, None if sigma is None else sigma[1])
    offsets, widths, shares = (np.stack(each, axis=1) for each in zip(across, down, strict=True))
    heights = highest * np.exp(0.5 * np.square(offsets / widths).sum(axis=1))
    amplitudes = heights * shares.min(axis=1)
    bins = np.stack([columns, rows], axis=1) + offsets
    rest = heatmaps(bins, (width, height), widths)
    rest *= -amplitudes[:, None, None].astype(np.float32)
    rest += flat
    return SplitMaps(
        (bins * stride).astype(np.float32).reshape(batch, count, 2),
        heights.astype(np.float32).reshape(batch, count),
        amplitudes.astype(np.float32).reshape(batch, count),
        rest.reshape(maps.shape),
    )


def join_maps(split: SplitMaps, stride: F64, sigma: F64) -> F32:
    """Return maps (B, K, h, w) with main peaks as Gaussians of that sigma; stride in pixels per bin, sigma in bins."""
    height, width = split.rest.shape[2:]
    bins = split.xy.reshape(-1, 2) / stride
    joined = heatmaps(bins, (width, height), sigma)
    joined *= split.amplitudes.reshape(-1, 1, 1)
    joined = joined.reshape(split.rest.shape)
    joined += split.rest
    return joined


def _fit(
    lines: F32, places: NDArray[np.intp], highest: Column, sigma: float | None
) -> tuple[Column, Column, Column]:
    """Return each peak's offset from the highest bin of its line (N, bins), its sigma, and its share; all (N,).

    share: 1 where the curvature is that of a Gaussian of this sigma, less where it is broader. At an end of a line one
    neighbour gives the centre, which may lie beyond the end, and the share is 1.
    """
    numbers, last = np.arange(len(lines)), lines.shape[1] - 1
    scale = np.where(highest > 0, highest, 1)
    before, after = (
        np.log(np.maximum(lines[numbers, np.clip(places + step, 0, last)] / scale, LOG_FLOOR))
        for step in (-1, 1)
    )
    first, end = places == 0, places == last
    curvature = np.where(first | end, 1 / DEFAULT_SIGMA**2, np.maximum(-before - after, 1e-6))
    variance = (
        np.clip(1 / curvature, SIGMA_RANGE[0] ** 2, SIGMA_RANGE[1] ** 2)
        if sigma is None
        else np.full(len(lines), sigma**2)
    )
    inner = np.clip(variance / 2 * (after - before), -INSIDE_REACH, INSIDE_REACH)
    offset = np.select(
        [first, end], [variance * after + 0.5, -variance * before - 0.5], default=inner
    )
    share = np.where(first | end, 1.0, np.clip(curvature * variance, 0, 1))
    return np.clip(offset, -EDGE_REACH, EDGE_REACH), np.sqrt(variance), share
