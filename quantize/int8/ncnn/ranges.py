"""Calibration of ncnn nets: magnitudes of blobs on calibration images, and where to clip them for int8.

ncnn's int8 is symmetric: a blob needs one number, the magnitude that becomes 127.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export.ncnn.blobs import FloatNet, ReadBlob, visit_blobs

BINS = 2048
CLIPS = 128
LEVELS = 127


@dataclass(frozen=True, slots=True)
class Histogram:
    """Magnitudes of a blob: the largest, and the counts int64 (BINS,) in equal bins up to it.

    Zeros are not counted: they stay zero at any scale.
    """

    peak: float
    counts: NDArray[np.int64]


def blob_histograms(
    net: FloatNet, peaks: Mapping[str, float], images: NDArray[np.uint8]
) -> dict[str, Histogram]:
    """Return the histogram of each blob in `peaks`, its largest magnitudes, in file order. Raises as `visit_blobs`."""
    counts = {blob: np.zeros(BINS, np.int64) for blob in peaks}

    def count(read: ReadBlob) -> None:
        for blob, peak in peaks.items():
            counts[blob] += _histogram(np.abs(read(blob)).ravel(), peak)

    visit_blobs(net, images, count)
    return {blob: Histogram(peak, counts[blob]) for blob, peak in peaks.items()}


def best_clip(histogram: Histogram) -> float:
    """Return the clip magnitude, at most the peak, of the least squared error of clipping and rounding to 127 steps.

    Expected squared error: a twelfth of a step's square for each value below, (value - clip)^2 for each beyond (Banner,
    Nahshan and Soudry, Post training 4-bit quantization, 2019, section 3), on the histogram instead of an assumed
    distribution. ncnn's ncnn2table clips by KL divergence, which cuts the long tails of SiLU far too low.
    """
    values = (np.arange(BINS) + 0.5) / BINS
    clips = np.arange(1, CLIPS + 1)[:, None] / CLIPS
    errors = np.where(values < clips, (clips / LEVELS) ** 2 / 12, (values - clips) ** 2)
    best = int(np.argmin(errors @ histogram.counts))
    return float(clips[best, 0]) * histogram.peak


def _histogram(values: NDArray[np.float32], peak: float) -> NDArray[np.int64]:
    if peak == 0:
        return np.zeros(BINS, np.int64)
    index = (values[values > 0] * np.float64(BINS / peak)).astype(np.int64)
    return np.bincount(np.minimum(index, BINS - 1), minlength=BINS)
