"""Pixel figures: how far keypoints lie from the reference's, in network-input pixels, for one person an image.

Bottom-up people have to be paired first: `people`. S images, K keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.nms.overlap import keypoint_similarity
from edge.types import Keypoints
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class PixelFigures:
    """Distances over the `decidable` of all `keypoints`, None where none is; `people` and `matched` for bottom-up."""

    decidable: int | None = None
    keypoints: int | None = None
    mean: float | None = None
    p95: float | None = None
    max: float | None = None
    oks_mean: float | None = None
    people: int | None = None
    matched: float | None = None


def single_figures(
    expected: Sequence[Keypoints],
    got: Sequence[Keypoints],
    decidable: NDArray[np.bool_],
    spec: ModelSpec,
) -> PixelFigures:
    """Return the figures of models that give one person an image; decidable: (S, K)."""
    counts = int(decidable.sum()), int(decidable.size)
    if not decidable.any():
        return PixelFigures(*counts)
    ours = np.stack([item.xy[0] for item in got]).astype(np.float64)
    theirs = np.stack([item.xy[0] for item in expected])
    distance = np.linalg.norm(ours - theirs, axis=2)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    chosen = distance[decidable]
    return PixelFigures(
        *counts,
        mean=float(chosen.mean()),
        p95=float(np.percentile(chosen, 95)),
        max=float(chosen.max()),
        oks_mean=_oks_mean(distance, decidable, spec),
    )


def _oks_mean(
    distance: NDArray[np.float64], decidable: NDArray[np.bool_], spec: ModelSpec
) -> float | None:
    """Return the mean similarity of decidable keypoints, for a person who fills the crop; None without sigmas."""
    if spec.keypoints is None or not spec.keypoints.sigmas:
        return None
    width, height = spec.image.wh
    area = np.asarray(width * height / spec.crop.padding**2)
    similarity = keypoint_similarity(distance**2, area, np.asarray(spec.keypoints.sigmas))
    return float(similarity[decidable].mean())
