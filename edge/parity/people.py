"""Pairing of people in bottom-up outputs with the reference's, and the distances between their keypoints.

Images hold any number of people, in any order, so people are paired first. N people in an image, K keypoints; distances
in network-input pixels. Knows no limits: `compare` judges.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.parity.pixels import PixelFigures
from edge.types import Keypoints

# The nearer their keypoints lie on this scale, the more alike two people are: a bin of an OpenPose map.
SIGMA_PX = 8.0

F64 = NDArray[np.float64]


def people_figures(
    expected: Sequence[Keypoints], got: Sequence[Keypoints], decidable: NDArray[np.bool_]
) -> PixelFigures:
    """Return the pixel figures over decidable keypoints (sum N, K) of the people of all images.

    A keypoint that only the reference has is infinitely far, and so is every keypoint of a person without a partner, on
    either side.
    """
    pairs = [_paired_distances(*sides) for sides in zip(expected, got, strict=True)]
    distance = np.concatenate([distances for distances, _ in pairs])
    unpaired = np.full(sum(extra for _, extra in pairs), np.inf)
    counts = int(decidable.sum()), int(sum((item.scores > 0).sum() for item in expected))
    if not decidable.any():
        return PixelFigures(*counts, people=len(distance))
    chosen = np.concatenate([distance[decidable], unpaired])
    return PixelFigures(
        *counts,
        mean=float(chosen.mean()),
        # not interpolated: halfway to infinity is no number
        p95=float(np.percentile(chosen, 95, method="higher")),
        max=float(chosen.max()),
        people=len(distance),
        matched=float(np.isfinite(distance).any(axis=1).mean()),
    )


def _paired_distances(expected: Keypoints, got: Keypoints) -> tuple[F64, int]:
    """Return each expected keypoint's distance from its partner's (N, K), and how many keypoints `got` has unpaired."""
    both = (expected.scores[:, None] > 0) & (got.scores > 0)
    apart = np.linalg.norm(expected.xy[:, None].astype(np.float64) - got.xy, axis=3)
    apart = np.where(both, apart, np.inf)
    likeness = np.exp(-np.square(apart) / (2 * SIGMA_PX**2)).sum(axis=2)
    distance = np.full(expected.scores.shape, np.inf)
    unpaired = got.scores > 0
    while likeness.size and likeness.max() > 0:
        ours, theirs = np.unravel_index(int(likeness.argmax()), likeness.shape)
        distance[ours] = apart[ours, theirs]
        unpaired[theirs] = False
        likeness[ours], likeness[:, theirs] = 0, 0
    return distance, int(unpaired.sum())
