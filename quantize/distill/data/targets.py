"""Training targets: Gaussian heatmaps and SimCC labels of keypoints, and SimCC labels from a teacher's heatmaps.

Plain numpy. Keypoints are in input pixels.
"""

import numpy as np
from numpy.typing import NDArray

from edge.catalog.label_sigma import simcc_label_sigma
from edge.geometry import Size
from edge.types import F32, F64
from runtimes.codec_spec import HeatmapCodec, SimCCCodec

NOISE_FLOOR = 0.1  # of a map's peak: below it lies the network's noise
SHARE_FLOOR = np.float32(1e-3)  # of a marginal's peak, before taking logarithms


def heatmaps(bins: NDArray[np.floating], map_wh: Size, sigma: F64) -> F32:
    """Return Gaussians float32 (K, h, w) of height 1 at `bins` (K, 2), fractional.

    sigma: in bins, (2,) as (x, y), or (K, 2).
    """
    across, down = (
        _gaussian(np.arange(count), np.asarray(bins[:, axis], np.float64), sigma[..., axis])
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
        _gaussian(np.arange(round(side * split_ratio)), centres[:, axis], sigma[axis])
        for axis, side in enumerate(input_wh)
    )
    return across, down


def marginals(
    peaks: tuple[F32, F32, F32], rest: F32, stride: F64, input_wh: Size, codec: SimCCCodec
) -> tuple[F32, F32]:
    """Return SimCC labels (K, W * split) and (K, H * split), 1 at the peak, as the marginals of split heatmaps.

    peaks: places (K, 2) in input pixels, heights (K,) of the maps there and amplitudes (K,) of their Gaussians; rest:
    (K, h, w), the maps without them; stride: input pixels per bin, (x, y). Each peak is the Gaussian of a heatmap's
    label around the bin that a SimCC label rounds to. Of the rest, values below a tenth of the peak are dropped, since
    summed over an axis the noise would hide the peak. A heatmap's Gaussian is wider than a SimCC label's: marginals
    are raised to the power that maps one to the other. A map without a positive value gives zeros.
    """
    xy, heights, amplitudes = peaks
    split_ratio = codec.split_ratio
    wide, narrow = heatmap_sigma(input_wh) * split_ratio, simcc_sigma(codec, input_wh)
    kept = np.abs(rest)
    np.multiply(rest, kept > NOISE_FLOOR * heights[:, None, None], out=kept)
    centres = np.rint(np.asarray(xy, np.float64) * split_ratio)
    rows = []
    for axis, side in enumerate(input_wh):
        bins = np.arange(round(side * split_ratio))
        # the sum of a Gaussian over the other axis, in bins of the map
        area = (
            amplitudes
            * np.float32(np.sqrt(2 * np.pi))
            * heatmap_sigma(input_wh)[1 - axis]
            / stride[1 - axis]
        )
        mass = area[:, None] * _gaussian(bins, centres[:, axis], wide[axis])
        mass += _interpolated(kept.sum(axis=1 + axis), bins / (split_ratio * stride[axis]))
        rows.append(_sharpened(mass, (wide[axis] / narrow[axis]) ** 2))
    return rows[0], rows[1]


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


def simcc_sigma(codec: SimCCCodec, input_wh: Size) -> F64:
    """Return the standard deviation of SimCC labels in bins, (x, y): the codec's, else RTMPose's for that input."""
    return np.array(codec.sigma or simcc_label_sigma(input_wh, codec.split_ratio))


def _interpolated(rows: F32, places: F64) -> F32:
    """Return rows (K, bins) at fractional places (n,), linear between two bins, constant beyond the ends: (K, n)."""
    last = rows.shape[1] - 1
    inside_row = np.clip(places, 0, last)
    low = np.minimum(inside_row.astype(int), max(last - 1, 0))
    part = (inside_row - low).astype(np.float32)
    values: F32 = rows[:, low] * (1 - part) + rows[:, np.minimum(low + 1, last)] * part
    return values


def _sharpened(rows: F32, power: float) -> F32:
    """Return rows (K, bins) over their maximum, raised to `power`; those without a positive value as zeros."""
    top = rows.max(axis=1, keepdims=True)
    shares = rows / np.where(top > 0, top, 1)
    # `**` takes three times as long
    raised: F32 = np.exp(np.float32(power) * np.log(np.maximum(shares, SHARE_FLOOR)))
    raised *= (shares > SHARE_FLOOR) & (top > 0)
    return raised


def _gaussian(bins: NDArray[np.int_], centres: F64, sigma: F64) -> F32:
    """Return exp(-(bin - centre)^2 / (2 sigma^2)), float32 (K, bins); one sigma or (K,)."""
    offsets = (bins - centres[:, None]) / np.reshape(sigma, (-1, 1))
    heights: F32 = np.exp(-0.5 * offsets**2).astype(np.float32)
    return heights
