"""Training targets: Gaussian heatmaps and SimCC labels of keypoints, and SimCC labels from a teacher's heatmaps.

Plain numpy. Keypoints are in input pixels.
"""

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Size
from edge.types import F32, F64
from runtimes.codec_spec import HeatmapCodec

NOISE_FLOOR = 0.1  # of a map's peak: below it lies the network's noise
LOG_FLOOR = 1e-3  # of a row's peak, before taking logarithms
EPSILON = 1e-12


def heatmaps(bins: NDArray[np.floating], map_wh: Size, sigma: F64) -> F32:
    """Return Gaussians float32 (K, h, w) of height 1 at `bins` (K, 2), fractional; sigma (x, y) in bins."""
    across, down = (
        _gaussian(np.arange(count), np.asarray(bins[:, axis], np.float64), float(sigma[axis]))
        for axis, count in enumerate(map_wh)
    )
    maps: F32 = down[:, :, None] * across[:, None, :]
    return maps


def strides(input_wh: Size, map_wh: Size, codec: HeatmapCodec) -> F64:
    """Return input pixels per bin, (x, y), as the codec's decoder has them.

    Bin 0 is pixel 0. With UDP the last bin is the last pixel (arXiv:1911.07524), otherwise the ratio of the sizes.
    """
    ends = int(codec.refine == "udp")
    spans: F64 = (np.array(input_wh, np.float64) - ends) / (np.array(map_wh) - ends)
    return spans


def inside(xy: F32, input_wh: Size) -> NDArray[np.bool_]:
    """Return which keypoints (K, 2) lie on the input: those outside have no peak to learn."""
    within: NDArray[np.bool_] = np.all((xy >= 0) & (xy <= np.array(input_wh) - 1), axis=-1)
    return within


def simcc_labels(xy: F32, input_wh: Size, split_ratio: float, sigma: F64) -> tuple[F32, F32]:
    """Return Gaussian labels over x bins (K, W * split) and y bins (K, H * split), height 1; sigma in bins (x, y).

    As in RTMPose (arXiv:2303.07399) the centre is rounded to a bin; the loss turns labels into distributions.
    """
    centres = np.rint(np.asarray(xy, np.float64) * split_ratio)
    across, down = (
        _gaussian(np.arange(round(side * split_ratio)), centres[:, axis], float(sigma[axis]))
        for axis, side in enumerate(input_wh)
    )
    return across, down


def marginals(maps: F32, stride: F64, input_wh: Size, split_ratio: float) -> tuple[F32, F32]:
    """Return SimCC labels (K, W * split) and (K, H * split), 1 at the peak, as the marginals of heatmaps (K, h, w).

    stride: input pixels per bin, (x, y). Values below a tenth of the peak are dropped, since summed over an axis the
    noise would hide the peak; and because a heatmap's Gaussian is three times as wide as a label's, marginals are
    raised to the power that maps one to the other. A map without a positive value gives zeros.
    """
    mass = suppress_noise(maps)
    sharpen = (heatmap_sigma(input_wh) / simcc_sigma(input_wh) * split_ratio) ** 2
    across, down = (
        _resampled(mass.sum(axis=1 + axis), split_ratio * stride[axis], side, sharpen[axis])
        for axis, side in enumerate(np.array(input_wh) * split_ratio)
    )
    return across, down


def suppress_noise(maps: F32) -> F32:
    """Return maps (..., h, w) with values below a tenth of their peak set to 0; without a positive value all 0."""
    peaks = maps.max(axis=(-2, -1), keepdims=True)
    mass: F32 = np.where(maps > NOISE_FLOOR * peaks, maps, 0) * (peaks > 0)
    return mass


def heatmap_sigma(input_wh: Size) -> F64:
    """Return the standard deviation of heatmap Gaussians in input pixels, (x, y).

    Two bins of 48 x 64, and the same fraction of other inputs (mmpose: 3 bins of 72 x 96, Sapiens: 6 of 192 x 256).
    """
    return np.array(input_wh, np.float64) * (2 / 48, 2 / 64)


def simcc_sigma(input_wh: Size) -> F64:
    """Return the standard deviation of SimCC labels in half-pixel bins, (x, y): RTMPose's for 192 x 256, scaled."""
    return np.array(input_wh, np.float64) * (4.9 / 192, 5.66 / 256)


def _resampled(mass: F32, stride: float, side: float, power: float) -> F32:
    """Resample (K, bins) to (K, side), `stride` times as fine, each row raised to `power` with peak 1, or all 0.

    The logarithm of a Gaussian is a parabola, which a cubic through four bins (Catmull-Rom) reproduces exactly.
    """
    places = np.clip(np.arange(round(side)) / stride, 0, mass.shape[1] - 1)
    low = np.floor(places).astype(int)
    part = places - low
    logs = np.log(np.maximum(mass, LOG_FLOOR * mass.max(axis=1, keepdims=True)) + EPSILON)
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


def _gaussian(bins: NDArray[np.int_], centres: F64, sigma: float) -> F32:
    """Return exp(-(bin - centre)^2 / (2 sigma^2)), float32 (K, bins)."""
    offsets = (bins - centres[:, None]) / sigma
    heights: F32 = np.exp(-0.5 * offsets**2).astype(np.float32)
    return heights
