"""Angular errors of surface normals over all pixels of a data set: mean, median, and the shares within three angles."""

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, F64, Mask

WITHIN = (11.25, 22.5, 30.0)  # degrees, Sapiens' table 6
# Medians of more pixels than memory holds are read off a histogram of this resolution.
_BIN = 0.01
_BINS = round(180 / _BIN) + 1


class AngularErrors:
    """The errors of all pixels so far, as a histogram: the median is right to 0.01 degrees, the rest exact."""

    def __init__(self) -> None:
        self.pixels = 0
        self._sum = 0.0
        self._within = np.zeros(len(WITHIN), np.int64)
        self._histogram: NDArray[np.int64] = np.zeros(_BINS, np.int64)

    def add(self, degrees: F64) -> None:
        """Count errors, float64 (n,) degrees."""
        self.pixels += len(degrees)
        self._sum += float(degrees.sum())
        self._within += [int((degrees < limit).sum()) for limit in WITHIN]
        self._histogram += np.bincount(np.rint(degrees / _BIN).astype(np.intp), minlength=_BINS)

    def figures(self) -> dict[str, float | None]:
        """Return the mean and median in degrees, and the shares within WITHIN, 0 to 1; None where no pixel counted."""
        names = ["mean_degrees", "median_degrees", *(f"within_{limit:g}" for limit in WITHIN)]
        if not self.pixels:
            return dict.fromkeys(names)
        half = np.searchsorted(
            self._histogram.cumsum(), [(self.pixels + 1) // 2, self.pixels // 2 + 1]
        )
        median = float(half.mean() * _BIN)
        values = [self._sum / self.pixels, median, *(self._within / self.pixels).tolist()]
        return dict(zip(names, values, strict=True))


def angular_errors(normals: F32, truth: F32, counts: Mask) -> F64:
    """Return the angles between normals in degrees, float64 (n,), of the pixels that count.

    normals, truth: float32 (3, H, W), of any length above 0 and of length 1; counts: bool (H, W). A normal of length 0
    is as far off as one at right angles.
    """
    ours, theirs = (values[:, counts].astype(np.float64) for values in (normals, truth))
    # atan2 of cross and dot: the arc cosine alone is inexact where normals agree
    across = np.linalg.norm(np.cross(ours, theirs, axis=0), axis=0)
    along = (ours * theirs).sum(axis=0)
    degrees: F64 = np.degrees(np.arctan2(across, along))
    return np.where((across == 0) & (along == 0), 90.0, degrees)
