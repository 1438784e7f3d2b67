"""What a network is asked to say: heatmaps and SimCC labels of known keypoints, and the marginals of a teacher's maps.

Knows numbers only. Keypoints are in input pixels.
"""

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Size
from edge.types import F32, F64
from runtimes.codec_spec import HeatmapCodec

FLOOR = 0.1  # of a map's peak: under it lies the network's noise
FAINT = 1e-3  # of a row's peak: less is as good as nothing
TINY = 1e-12


def heatmaps(bins: NDArray[np.floating], map_wh: Size, sigma: F64) -> F32:
    """Return Gaussians float32 (K, h, w) of height 1 around `bins` (K, 2), fractions allowed; sigma (x, y) in bins."""
    across, down = (
        _bell(np.arange(count), np.asarray(bins[:, axis], np.float64), float(sigma[axis]))
        for axis, count in enumerate(map_wh)
    )
    maps: F32 = down[:, :, None] * across[:, None, :]
    return maps


def strides(input_wh: Size, map_wh: Size, codec: HeatmapCodec) -> F64:
    """Return how many input pixels a bin spans, (x, y), as the codec's decoder reads it.

    Bin 0 is pixel 0. With UDP the last bin is the last pixel (arXiv:1911.07524), else the sizes divide.
    """
    ends = int(codec.refine == "udp")
    spans: F64 = (np.array(input_wh, np.float64) - ends) / (np.array(map_wh) - ends)
    return spans


def inside(xy: F32, input_wh: Size) -> NDArray[np.bool_]:
    """Tell which keypoints (K, 2) lie on the input: those outside have no peak to be learned."""
    on_it: NDArray[np.bool_] = np.all((xy >= 0) & (xy <= np.array(input_wh) - 1), axis=-1)
    return on_it


def simcc_labels(xy: F32, input_wh: Size, split_ratio: float, sigma: F64) -> tuple[F32, F32]:
    """Return Gaussian labels over x bins (K, W * split) and y bins (K, H * split), height 1; sigma in bins (x, y).

    RTMPose (arXiv:2303.07399): the centre is rounded to a bin, the loss makes them distributions.
    """
    centres = np.rint(np.asarray(xy, np.float64) * split_ratio)
    across, down = (
        _bell(np.arange(round(side * split_ratio)), centres[:, axis], float(sigma[axis]))
        for axis, side in enumerate(input_wh)
    )
    return across, down


def marginals(maps: F32, stride: F64, input_wh: Size, split_ratio: float) -> tuple[F32, F32]:
    """Return what heatmaps (K, h, w) say of x and of y alone, in the form of SimCC labels: heights, 1 at the peak.

    stride: input pixels a bin, (x, y). A sum over an axis would drown a peak in the floor, so what is under a tenth of
    the peak does not count; and a heatmap's Gaussian is three times as wide as a label's, so heights are raised to the
    power that makes the one the other. A map without a positive value gives zeros.
    """
    mass = above_floor(maps)
    sharpen = (heatmap_sigma(input_wh) / simcc_sigma(input_wh) * split_ratio) ** 2
    across, down = (
        _resampled(mass.sum(axis=1 + axis), split_ratio * stride[axis], side, sharpen[axis])
        for axis, side in enumerate(np.array(input_wh) * split_ratio)
    )
    return across, down


def above_floor(maps: F32) -> F32:
    """Return maps (..., h, w) without what is under a tenth of their peak; one without a positive value is all 0."""
    peaks = maps.max(axis=(-2, -1), keepdims=True)
    mass: F32 = np.where(maps > FLOOR * peaks, maps, 0) * (peaks > 0)
    return mass


def heatmap_sigma(input_wh: Size) -> F64:
    """Return the deviation of heatmaps' Gaussians in input pixels, (x, y).

    Two bins of 48 x 64, and as large a part of every other input (mmpose: 3 bins of 72 x 96, Sapiens: 6 of 192 x 256).
    """
    return np.array(input_wh, np.float64) * (2 / 48, 2 / 64)


def simcc_sigma(input_wh: Size) -> F64:
    """Return the deviation of SimCC labels in bins of half a pixel, (x, y): RTMPose's for 192 x 256, in proportion."""
    return np.array(input_wh, np.float64) * (4.9 / 192, 5.66 / 256)


def _resampled(mass: F32, stride: float, side: float, power: float) -> F32:
    """Take (K, bins) to (K, side), `stride` times as fine, each row raised to `power`, its highest 1, or all 0.

    In logarithms a Gaussian is a parabola, which a cubic through four bins (Catmull-Rom) meets exactly.
    """
    places = np.clip(np.arange(round(side)) / stride, 0, mass.shape[1] - 1)
    low = np.floor(places).astype(int)
    part = places - low
    logs = np.log(np.maximum(mass, FAINT * mass.max(axis=1, keepdims=True)) + TINY)
    before, here, after, beyond = (
        logs[:, np.clip(low + offset, 0, mass.shape[1] - 1)] for offset in (-1, 0, 1, 2)
    )
    slope, next_slope = (after - before) / 2, (beyond - here) / 2
    rise = after - here
    curve = here + part * (
        slope + part * (3 * rise - 2 * slope - next_slope + part * (slope + next_slope - 2 * rise))
    )
    heights: F32 = np.exp(power * (curve - curve.max(axis=1, keepdims=True))).astype(np.float32)
    heights[mass.max(axis=1) <= 0] = 0
    return heights


def _bell(bins: NDArray[np.int_], centres: F64, sigma: float) -> F32:
    """Return exp(-(bin - centre)^2 / (2 sigma^2)), float32 (K, bins)."""
    away = (bins - centres[:, None]) / sigma
    bell: F32 = np.exp(-0.5 * away**2).astype(np.float32)
    return bell
