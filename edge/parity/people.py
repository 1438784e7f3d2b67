"""The gate's arithmetic for bottom-up models: people of one set of outputs against those of a reference.

Images hold any number of people, in any order, so people are paired first. S images, N people in an image, K keypoints;
distances in network-input pixels. Knows no limits: `parity` judges.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, Keypoints

# A peak is clear where it beats by this share every bin that is further than NEIGHBOURS bins from it on an axis.
MARGIN = 0.1
NEIGHBOURS = 2
# Two people are the same the more, the nearer their keypoints lie on this scale: a bin of an OpenPose map.
SIGMA_PX = 8.0

Mask = NDArray[np.bool_]
F64 = NDArray[np.float64]


def clear_keypoints(people: Sequence[Keypoints], heatmaps: F32, input_wh: tuple[int, int]) -> Mask:
    """Say which keypoints of whom beat the rest of their map by 10 %; bool (sum N, K), people in the images' order.

    heatmaps: (S, at least K, h, w). The rest is what lies outside the 5-bin neighbourhood of every person's peak: with
    one person this is the rule for single people, and a map of noise always has a rival somewhere.
    """
    clear = [_clear(found, maps, input_wh) for found, maps in zip(people, heatmaps, strict=True)]
    return np.concatenate(clear)


def _clear(found: Keypoints, maps: F32, input_wh: tuple[int, int]) -> Mask:
    points = found.xy.shape[1]
    _, height, width = maps.shape
    seen = found.scores > 0
    bins = np.rint((found.xy + 0.5) * (width, height) / np.array(input_wh) - 0.5)
    near_row = np.abs(np.arange(height) - bins[..., 1, None]) <= NEIGHBOURS
    near_column = np.abs(np.arange(width) - bins[..., 0, None]) <= NEIGHBOURS
    near = (near_row[..., :, None] & near_column[..., None, :]) & seen[..., None, None]
    rival = np.where(near.any(axis=0), 0, maps[:points]).max(axis=(1, 2))
    clear: Mask = seen & (found.scores - rival >= MARGIN * found.scores)
    return clear


def people_numbers(
    expected: Sequence[Keypoints], got: Sequence[Keypoints], decidable: Mask
) -> dict[str, Any]:
    """Return the pixel figures over decidable keypoints (sum N, K), as `Parity` names them; `boxes` counts people.

    A keypoint that only the reference has is infinitely far, and so is every keypoint of somebody who has no partner,
    on either side.
    """
    pairs = [_compared(*sides) for sides in zip(expected, got, strict=True)]
    distance = np.concatenate([distances for distances, _ in pairs])
    invented = np.full(sum(extra for _, extra in pairs), np.inf)
    people = len(distance)
    numbers: dict[str, Any] = {
        "decidable": int(decidable.sum()),
        "keypoints": int(sum((item.scores > 0).sum() for item in expected)),
        "boxes": people,
    }
    if not decidable.any():
        return numbers
    chosen = np.concatenate([distance[decidable], invented])
    return {
        **numbers,
        "matched": float(np.isfinite(distance).any(axis=1).mean()),
        "px_mean": float(chosen.mean()),
        # not interpolated: half way to infinity is no number
        "px_p95": float(np.percentile(chosen, 95, method="higher")),
        "px_max": float(chosen.max()),
    }


def _compared(expected: Keypoints, got: Keypoints) -> tuple[F64, int]:
    """Return how far each keypoint is from its partner's (N, K), and how many keypoints people without partner have."""
    both = (expected.scores[:, None] > 0) & (got.scores > 0)
    apart = np.linalg.norm(expected.xy[:, None].astype(np.float64) - got.xy, axis=3)
    apart = np.where(both, apart, np.inf)
    likeness = np.exp(-np.square(apart) / (2 * SIGMA_PX**2)).sum(axis=2)
    distance = np.full(expected.scores.shape, np.inf)
    invented = got.scores > 0
    while likeness.size and likeness.max() > 0:
        ours, theirs = np.unravel_index(int(likeness.argmax()), likeness.shape)
        distance[ours] = apart[ours, theirs]
        invented[theirs] = False
        likeness[ours], likeness[:, theirs] = 0, 0
    return distance, int(invented.sum())
