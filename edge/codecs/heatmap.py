"""Heatmaps: a keypoint is the peak of its map, with sub-bin refinement.

After mmpose's MSRAHeatmap and UDPHeatmap; DARK is arXiv:1910.06278, UDP arXiv:1911.07524.
Maps are flattened to (N, h, w), N = B * K, with peaks (N, 2) as x, y in bins.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edge.types import F32, F64, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import HeatmapCodec
from runtimes.spec import ModelSpec

Sample = Callable[[int, int], F64]


def decode(tensors: Sequence[Array], codec: HeatmapCodec, spec: ModelSpec) -> list[Keypoints]:
    """Return one person an input; tensors: heatmaps (B, K, h, w) float32.

    The score is the peak; where it is not positive the keypoint lies at bin -1.
    """
    (heatmaps,) = tensors
    batch, points, height, width = heatmaps.shape
    maps = heatmaps.reshape(-1, height, width)
    peaks, scores = find_peaks(maps)
    xy = _REFINEMENTS[codec.refine](peaks, maps, codec.blur_kernel)
    # UDP measures between the centres of the outermost bins, as its crops do.
    udp = int(codec.refine == "udp")
    xy *= (np.array(spec.image.wh, np.float32) - udp) / (np.array((width, height)) - udp)
    people = zip(xy.reshape(batch, 1, points, 2), scores.reshape(batch, 1, points), strict=True)
    return [Keypoints(*person) for person in people]


def refine_peaks(kind: str, peaks: F32, maps: F32, blur_kernel: int) -> F32:
    """Return peaks (N, 2) moved to between the bins of their maps (N, h, w); kind: a `refine` of HeatmapCodec."""
    return _REFINEMENTS[kind](peaks, maps, blur_kernel)


def find_peaks(maps: F32) -> tuple[F32, F32]:
    """Return the highest bin of each map (N, h, w): peaks (N, 2), -1 where not positive, and values (N,)."""
    flat = maps.reshape(len(maps), -1)
    best = flat.argmax(axis=1)
    values: F32 = flat[np.arange(len(flat)), best]
    peaks: F32 = np.stack(np.divmod(best, maps.shape[2])[::-1], axis=1).astype(np.float32)
    peaks[values <= 0] = -1
    return peaks, values


def blur(maps: F32, kernel: int) -> F32:
    """Blur each map (N, h, w) by a Gaussian of odd size `kernel` in bins, and rescale it to its own peak."""
    count, height, width = maps.shape
    # One tall image with zeros between the maps: one call instead of N, and the same zero padding.
    tall = np.zeros((count, height + kernel // 2, width), np.float32)
    tall[:, :height] = maps
    smooth = cv2.GaussianBlur(
        tall.reshape(-1, width), (kernel, kernel), 0, borderType=cv2.BORDER_CONSTANT
    ).reshape(tall.shape)[:, :height]
    smooth *= (maps.max(axis=(1, 2)) / smooth.max(axis=(1, 2)))[:, None, None]
    blurred: F32 = smooth
    return blurred


def _keep(peaks: F32, _maps: F32, _kernel: int) -> F32:
    return peaks


def _shift(peaks: F32, maps: F32, _kernel: int) -> F32:
    """Move a quarter of a bin to the higher neighbour, where a peak has room on both sides."""
    height, width = maps.shape[1:]
    x, y = peaks.T.astype(np.intp)
    rows = np.flatnonzero((x > 1) & (x < width - 1) & (y > 0))
    slope = maps[rows, y[rows], x[rows] + 1] - maps[rows, y[rows], x[rows] - 1]
    peaks[rows, 0] += np.sign(slope) / 4
    rows = np.flatnonzero((y > 1) & (y < height - 1) & (x > 0))
    slope = maps[rows, y[rows] + 1, x[rows]] - maps[rows, y[rows] - 1, x[rows]]
    peaks[rows, 1] += np.sign(slope) / 4
    return peaks


def _shift_inside(peaks: F32, maps: F32, _kernel: int) -> F32:
    """Move a quarter of a bin to the higher neighbour on both axes, where a peak has room on both (AlphaPose)."""
    height, width = maps.shape[1:]
    x, y = peaks.T
    rows = np.flatnonzero((x > 1) & (x < width - 1) & (y > 1) & (y < height - 1))
    peaks[rows] = _shift(peaks[rows], maps[rows], 0)
    return peaks


def _dark(peaks: F32, maps: F32, kernel: int) -> F32:
    """Step to the top of the parabola through the log of the blurred map, curvature taken over two bins each way."""
    height, width = maps.shape[1:]
    x, y = peaks.T
    rows = np.flatnonzero((x > 1) & (x < width - 2) & (y > 1) & (y < height - 2))
    if len(rows):
        at = _log_around(peaks[rows], blur(maps[rows], kernel), 1e-10, np.inf)
        dxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
        dyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
        dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
        peaks[rows] += _newton_step(at, dxx, dxy, dyy)
    return peaks


def _udp(peaks: F32, maps: F32, kernel: int) -> F32:
    """Step as in DARK, curvature taken over one bin each way; maps are edge-padded."""
    rows = np.flatnonzero(peaks[:, 0] >= 0)
    if len(rows):
        at = _log_around(peaks[rows], blur(maps[rows], kernel), 1e-3, 50)
        # A flat map has no inverse without epsilon; with it the step is zero.
        epsilon = float(np.finfo(np.float32).eps)
        dxx = at(1, 0) - 2 * at(0, 0) + at(-1, 0) + epsilon
        dyy = at(0, 1) - 2 * at(0, 0) + at(0, -1) + epsilon
        sides = at(1, 0) + at(-1, 0) + at(0, 1) + at(0, -1)
        dxy = (at(1, 1) + 2 * at(0, 0) + at(-1, -1) - sides) / 2
        peaks[rows] += _newton_step(at, dxx, dxy, dyy)
    return peaks


def _log_around(peaks: F32, maps: F32, low: float, high: float) -> Sample:
    """Return a function of an offset (right, down) in bins to the clipped log of each map there, float64 (N,)."""
    height, width = maps.shape[1:]
    x, y = peaks.T.astype(np.intp)
    index = np.arange(len(maps))

    def at(right: int, down: int) -> F64:
        columns = np.clip(x + right, 0, width - 1)
        lines = np.clip(y + down, 0, height - 1)
        logs: F64 = np.log(np.clip(maps[index, lines, columns], low, high)).astype(np.float64)
        return logs

    return at


def _newton_step(at: Sample, dxx: F64, dxy: F64, dyy: F64) -> F64:
    """Return the step (N, 2) to where the gradient vanishes, from the second derivatives; 0 where they are singular."""
    dx = (at(1, 0) - at(-1, 0)) / 2
    dy = (at(0, 1) - at(0, -1)) / 2
    determinant = dxx * dyy - dxy * dxy
    step = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=1)
    safe = np.where(determinant == 0, np.inf, determinant)
    return step / safe[:, None]


_REFINEMENTS: dict[str, Callable[[F32, F32, int], F32]] = {
    "none": _keep,
    "shift": _shift,
    "shift-inside": _shift_inside,
    "dark": _dark,
    "udp": _udp,
}
