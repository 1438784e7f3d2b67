"""What is broken outright in a network's outputs, in words: figures alone say "far off" and not why.

Judged against a reference's outputs on the same inputs, so that what a model always does is no symptom.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.types import Detections, Keypoints
from runtimes.base import Array

# A reference whose outputs differ between inputs by this share of their size is not constant; ours below it is.
VARIES = 1e-3
# Scores fell to less than this share of the reference's: thresholds cut everything away.
DEAD = 0.25


def symptoms(
    expected: Mapping[str, Array],
    got: Mapping[str, Array],
    expected_items: Sequence[Any],
    got_items: Sequence[Any],
) -> tuple[str, ...]:
    """Return the symptoms of outputs `got` beside the reference's, by name (B, ...), and of what both decode to."""
    found = []
    for name, reference in expected.items():
        ours = got[name]
        if not np.isfinite(ours).all():
            share = 1 - np.isfinite(ours).mean()
            found.append(f"output {name} is no number in {share:.0%} of its values")
        elif _varies(reference) and not _varies(ours):
            found.append(f"output {name} is the same for every image")
    before, after = _mean_score(expected_items), _mean_score(got_items)
    if before > 0 and after < DEAD * before:
        found.append(f"confidences are dead: {after:.2g} on average, {before:.2g} before")
    return tuple(found)


def _varies(output: Array) -> bool:
    """Whether outputs differ from input to input; one input alone cannot say, and counts as varying."""
    if len(output) < 2:
        return True
    scale = float(np.abs(output).max(initial=0.0))
    return float(output.std(axis=0).max(initial=0.0)) > VARIES * scale


def _mean_score(items: Sequence[Any]) -> float:
    """Return the mean confidence: of all keypoints, or of each image's best box."""
    scores = [
        item.scores.max(initial=0.0) if isinstance(item, Detections) else item.scores.mean()
        for item in items
        if isinstance(item, (Detections, Keypoints))
        and (item.scores.size or isinstance(item, Detections))
    ]
    return float(np.mean(scores)) if scores else 0.0
