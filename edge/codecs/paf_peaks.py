"""Part candidates: local maxima of part heatmaps, over all maps at once."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from edge.nms.overlap import greedy
from edge.types import F32, F64, Indices, Mask
from runtimes.codec_spec import PafCodec

# The highest peaks kept a part; bounds the work on maps of noise (OpenPose keeps 127).
MAX_PEAKS = 128
BLUR_REACH = 4.0  # sigmas on each side, as scipy truncates its Gaussian
FLOOR = 0.01  # of heatmaps before the logarithm: a tenth of the lowest peak


@dataclass(frozen=True, slots=True)
class Peaks:
    """Part candidates, ordered by part, x, y: `parts` intp (P,), `xy` float64 (P, 2) in bins, `scores` float32 (P,)."""

    parts: Indices
    xy: F64
    scores: F32

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, rows: Indices | Mask) -> "Peaks":
        return Peaks(self.parts[rows], self.xy[rows], self.scores[rows])


def find_peaks(maps: F32, codec: PafCodec) -> Peaks:
    """Return the peaks of part maps float32 (K, h, w), which are enlarged already where the codec asks for it.

    A peak is higher than its left and upper neighbours and not lower than the right and lower ones, so that one of
    equal bins (frequent in int8) is the peak; maps are zero-padded. The score is the unblurred map's value there.
    """
    _, height, width = maps.shape
    smooth = blur(maps, codec.blur * codec.upsample) if codec.blur else maps
    framed = np.zeros((len(maps), height + 2, width + 2), np.float32)
    framed[:, 1:-1, 1:-1] = smooth
    flat = framed.reshape(-1)
    # Few bins reach the threshold: comparing only those is ten times faster than comparing whole maps.
    high = np.flatnonzero(flat >= codec.peak_score)
    values = flat[high]
    for step in (1, width + 2):
        top = (values > flat[high - step]) & (values >= flat[high + step])
        high, values = high[top], values[top]
    parts, y, x = np.unravel_index(high, framed.shape)
    order = np.lexsort((y, x, parts))
    parts, x, y = parts[order], x[order] - 1, y[order] - 1
    found = Peaks(parts, np.stack([x, y], axis=1).astype(np.float64), maps[parts, y, x])
    strong = found[_strongest(found)]
    kept = strong[_apart(strong, codec.separation * codec.upsample)]
    return Peaks(kept.parts, _REFINEMENTS[codec.refine](kept, framed), kept.scores)


def blur(maps: F32, sigma: float) -> F32:
    """Blur each map (K, h, w) by a Gaussian of `sigma` bins, reflected at the edges."""
    size = 2 * int(BLUR_REACH * sigma + 0.5) + 1
    smooth: F32 = np.stack(
        [
            cv2.GaussianBlur(each, (size, size), sigma, borderType=cv2.BORDER_REFLECT)
            for each in maps
        ]
    )
    return smooth


def _strongest(peaks: Peaks) -> Mask:
    """Return a mask of the MAX_PEAKS highest of each part."""
    order = np.lexsort((-peaks.scores, peaks.parts))
    first = np.searchsorted(peaks.parts, peaks.parts)  # the start of each peak's part
    strong = np.zeros(len(peaks), np.bool_)
    strong[order] = np.arange(len(peaks)) - first < MAX_PEAKS
    return strong


def _apart(peaks: Peaks, distance: float) -> Indices:
    """Return the peaks left when each, in order, drops the later ones of its part within `distance`."""
    kept = [np.zeros(0, np.intp)]
    for rows in np.split(np.arange(len(peaks)), np.flatnonzero(np.diff(peaks.parts)) + 1):
        x, y = peaks.xy[rows].T
        near = np.hypot(x[:, None] - x, y[:, None] - y) < distance
        kept.append(rows[greedy(near)])
    return np.concatenate(kept)


def _on_the_bin(peaks: Peaks, _framed: F32) -> F64:
    return peaks.xy


def _parabola(peaks: Peaks, framed: F32) -> F64:
    """Move each peak to the top of the parabola through the logs of it and its neighbours, an axis at a time.

    The log of a Gaussian is a parabola, and part heatmaps are trained on Gaussians. Peaks at the edge stay.
    """
    x, y = peaks.xy.T.astype(np.intp) + 1
    height, width = framed.shape[1:]
    inside = np.stack([(x > 1) & (x < width - 2), (y > 1) & (y < height - 2)], axis=1)

    def log_at(right: int, down: int) -> F64:
        values = framed[peaks.parts, y + down, x + right].astype(np.float64)
        logs: F64 = np.log(np.maximum(values, FLOOR))
        return logs

    centre = log_at(0, 0)
    sides = ((log_at(-1, 0), log_at(1, 0)), (log_at(0, -1), log_at(0, 1)))
    steps = [(high - low) / (2 * (2 * centre - low - high)) for low, high in sides]
    refined: F64 = peaks.xy + np.where(inside, np.stack(steps, axis=1), 0)
    return refined


_REFINEMENTS: dict[str, Callable[[Peaks, F32], F64]] = {
    "none": _on_the_bin,
    "parabola": _parabola,
}
