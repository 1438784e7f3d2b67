"""Verdicts on detectors: the reference's boxes that are matched, by class and IoU, and how far their scores moved."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from edge.nms.overlap import pairwise_iou
from edge.types import Detections
from runtimes.parity_spec import BoxesParity
from runtimes.spec import Precision


@dataclass(frozen=True, slots=True)
class BoxLimit:
    """IoU at which a box counts as matched, and how many of 100 reference boxes may be unmatched."""

    iou: float
    misses_percent: int

    @property
    def share(self) -> float:
        """The share that must be matched, 0 to 1."""
        return 1 - self.misses_percent / 100


BOX_LIMITS: dict[Precision, BoxLimit] = {
    "fp32": BoxLimit(0.9, 1),
    "fp16": BoxLimit(0.9, 1),
    "int8": BoxLimit(0.75, 5),
}
# Reference boxes that score less need not be matched.
BOX_SCORE = 0.3
# How far the mean score of matched boxes may move: thresholds were chosen for the reference's scores.
SCORE_SHIFT = 0.03
# The fewest reference boxes to judge a sample by: of 200, an artifact that matches 97.5 % would stay undecided.
MIN_BOXES = 400
# The 97.5 % quantile of the normal distribution: two-sided 95 %.
Z95 = 1.959963984540054


def strong_boxes(decoded: Sequence[Detections]) -> dict[int, Detections]:
    """Return, by image, the reference's boxes that must be matched; images without any are left out."""
    strong = {index: item[item.scores >= BOX_SCORE] for index, item in enumerate(decoded)}
    return {index: boxes for index, boxes in strong.items() if len(boxes)}


def allowed_misses(boxes: int, precision: Precision) -> int:
    """Return how many of so many reference boxes may be unmatched where no interval is judged.

    fp32 and fp16 see the reference's own inputs and differ from it by rounding alone, so that a lost box is drift and
    not chance: 1 %, rounded down, none of fewer than 100. int8 is expected to lose some: 5 %, rounded down, but one
    even of fewer than 20, as the 8 stored inputs may hold: one lost of so few says nothing about a share of 95 %.
    """
    allowed = boxes * BOX_LIMITS[precision].misses_percent // 100
    return max(1, allowed) if precision == "int8" else allowed


def judge_boxes(
    strong: Mapping[int, Detections],
    decoded: Sequence[Detections],
    precision: Precision,
    *,
    reference: str,
    samples: int,
    raw_error: float | None,
) -> BoxesParity:
    """Return the verdict by the number of boxes matched and the shift of their scores.

    strong: `strong_boxes` of the reference, at least one; decoded: one item an image.
    """
    limit = BOX_LIMITS[precision]
    shifts = [
        shift
        for index, boxes in strong.items()
        for shift in matched_shifts(boxes, decoded[index], limit.iou)
    ]
    count = sum(len(boxes) for boxes in strong.values())
    score_shift = float(np.mean(shifts)) if shifts else None
    enough = count - len(shifts) <= allowed_misses(count, precision)
    return BoxesParity(
        reference=reference,
        passed=enough and scores_hold(score_shift),
        limit=limit.share,
        samples=samples,
        raw_error=raw_error,
        boxes=count,
        matched=len(shifts) / count,
        score_shift=score_shift,
    )


def judge_by_interval(parity: BoxesParity) -> BoxesParity:
    """Return the verdict by the Wilson 95 % interval of the share matched: undecided (None) where it spans the limit.

    For images that are a sample of what an artifact will see: others would give another share.
    """
    share = 0.0 if parity.limit is None else parity.limit
    low, high = wilson_interval(round(parity.matched * parity.boxes), parity.boxes)
    passed = None if low < share <= high else low >= share
    if not scores_hold(parity.score_shift):
        passed = False
    return msgspec.structs.replace(parity, passed=passed, matched_interval=(low, high))


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Return the two-sided 95 % Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927); trials >= 1."""
    share = successes / trials
    spread = Z95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def matched_shifts(expected: Detections, got: Detections, iou_limit: float) -> list[float]:
    """Return the score changes of the expected boxes that match one of `got`, of their class, best score first."""
    if not len(expected) or not len(got):
        return []
    iou = pairwise_iou(expected.boxes, got.boxes)
    iou[expected.labels[:, None] != got.labels[None]] = 0
    shifts = []
    for row in range(len(expected)):
        column = int(iou[row].argmax())
        if iou[row, column] >= iou_limit:
            shifts.append(float(got.scores[column] - expected.scores[row]))
            iou[:, column] = 0
    return shifts


def scores_hold(shift: float | None) -> bool:
    """Return whether the mean score moved by at most SCORE_SHIFT; None, without a matched box, does not hold."""
    return shift is not None and abs(shift) <= SCORE_SHIFT
