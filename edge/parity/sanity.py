"""Sanity checks of a network's outputs: not finite, constant, or without confidence; figures alone only say "far off".

Judged against a reference's outputs on the same inputs, so that what a model always does is no symptom.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from edge.types import DenseMap, Detections, Keypoints
from runtimes.base import Array

# An output that differs between inputs by less than this share of its size is constant.
VARIES = 1e-3
# Scores that fell below this share of the reference's have collapsed: thresholds cut everything away.
COLLAPSED = 0.25

Items = Sequence[Keypoints | Detections | DenseMap]


def find_symptoms(
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    expected_items: Items,
    got_items: Items,
) -> tuple[str, ...]:
    """Return in words what is broken in outputs `got`, by name (B, ...), and in what they decode to.

    expected, expected_items: the reference's. Empty where every check passes.
    """
    found = []
    for name, reference in expected.items():
        ours = got[name]
        if not np.isfinite(ours).all():
            share = 1 - np.isfinite(ours).mean()
            found.append(f"output {name} is not finite in {share:.0%} of its values")
        elif _varies(reference) and not _varies(ours):
            found.append(f"output {name} is the same for every image")
    before, after = _mean_score(expected_items), _mean_score(got_items)
    if after < COLLAPSED * before:
        found.append(f"confidences collapsed: {after:.2g} on average, {before:.2g} before")
    return tuple(found)


def _varies(output: Array) -> bool:
    """Return whether outputs differ from input to input; one input alone cannot say, and counts as varying."""
    if len(output) < 2:
        return True
    scale = float(np.abs(output).max(initial=0.0))
    return float(output.std(axis=0).max(initial=0.0)) > VARIES * scale


def _mean_score(items: Items) -> float:
    """Return the mean confidence: of all keypoints, or of each image's best box; 0 where there is none."""
    scores = [
        item.scores.max(initial=0.0) if isinstance(item, Detections) else item.scores.mean()
        for item in items
        if isinstance(item, Detections) or (isinstance(item, Keypoints) and item.scores.size)
    ]
    return float(np.mean(scores)) if scores else 0.0
