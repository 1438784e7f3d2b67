"""What a network is asked to say: heatmaps and SimCC labels of known keypoints, and the marginals of a teacher's maps.

Knows numbers only. Keypoints are in input pixels.
"""

import numpy as np
from numpy.typing import NDArray

from edge.geometry import F64, Size
from edge.types import F32
from runtimes.codec_spec import HeatmapCodec


def heatmaps(bins: NDArray[np.floating], map_wh: Size, sigma: float) -> F32:
    """Return Gaussians float32 (K, h, w) of height 1 around `bins` (K, 2), which may be fractions; sigma in bins."""
    across, down = (
        _bell(np.arange(count), np.asarray(bins[:, axis], np.float64), sigma)
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


def simcc_labels(
    xy: F32, input_wh: Size, split_ratio: float, sigma: tuple[float, float]
) -> tuple[F32, F32]:
    """Return Gaussian labels over x bins (K, W * split) and y bins (K, H * split), height 1; sigma in bins (x, y).

    RTMPose (arXiv:2303.07399): the centre is rounded to a bin, the loss makes them distributions.
    """
    centres = np.rint(np.asarray(xy, np.float64) * split_ratio)
    across, down = (
        _bell(np.arange(round(side * split_ratio)), centres[:, axis], sigma[axis])
        for axis, side in enumerate(input_wh)
    )
    return across, down


def marginals(maps: F32, stride: F64, input_wh: Size, split_ratio: float) -> tuple[F32, F32]:
    """Return what heatmaps (K, h, w) say of x and of y alone, as distributions over SimCC bins.

    A heatmap is a height above its floor, not a probability: negative values and the lowest tenth of the peak are
    noise of the network and would drown the peak once summed over a whole axis. stride: input pixels a bin, (x, y).
    A map without a positive value gives zeros.
    """
    peaks = maps.max(axis=(1, 2), keepdims=True)
    mass = np.where(maps > 0.1 * peaks, maps, 0) * (peaks > 0)
    across = _resampled(mass.sum(axis=1), stride[0], input_wh[0], split_ratio)
    down = _resampled(mass.sum(axis=2), stride[1], input_wh[1], split_ratio)
    return across, down


def _resampled(mass: F32, stride: float, side: int, split_ratio: float) -> F32:
    """Take (K, bins) of heatmaps to (K, side * split_ratio) by linear interpolation, each row summing to 1, or 0."""
    places = np.arange(round(side * split_ratio)) / split_ratio / stride
    rows = np.stack([np.interp(places, np.arange(mass.shape[1]), row, 0, 0) for row in mass])
    total = rows.sum(axis=1, keepdims=True)
    shares: F32 = np.divide(rows, total, out=np.zeros_like(rows), where=total > 0).astype(
        np.float32
    )
    return shares


def _bell(bins: NDArray[np.int_], centres: F64, sigma: float) -> F32:
    """Return exp(-(bin - centre)^2 / (2 sigma^2)), float32 (K, bins)."""
    away = (bins - centres[:, None]) / sigma
    bell: F32 = np.exp(-0.5 * away**2).astype(np.float32)
    return bell
