"""The gate's arithmetic for detectors: which of a reference's boxes are found again, and with which scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge.nms.overlap import pairwise_iou
from edge.types import Detections
from runtimes.spec import Precision

# IoU at which a reference box counts as found again, and the share that must be.
BOX_LIMITS: dict[Precision, tuple[float, float]] = {
    "fp32": (0.9, 0.99),
    "fp16": (0.9, 0.99),
    "int8": (0.75, 0.95),
}
BOX_SCORE = 0.3
# How far the mean score of the boxes found again may move: thresholds were chosen for the reference's scores.
SCORE_SHIFT = 0.03


def strong_boxes(decoded: Sequence[Any]) -> dict[int, Detections]:
    """Return, by image, the reference's boxes that must be found again; images without are left out."""
    boxes = {
        index: item[item.scores >= BOX_SCORE]
        for index, item in enumerate(decoded)
        if isinstance(item, Detections)
    }
    return {index: strong for index, strong in boxes.items() if len(strong)}


def box_numbers(
    wanted: Mapping[int, Detections], decoded: Sequence[Any], precision: Precision
) -> dict[str, Any]:
    """Return the fields of a Parity that boxes decide: how many, the share matched, the scores' shift, the verdict."""
    iou_limit, share = BOX_LIMITS[precision]
    shifts = [
        shift
        for i, boxes in wanted.items()
        for shift in matched_shifts(boxes, decoded[i], iou_limit)
    ]
    count = sum(len(boxes) for boxes in wanted.values())
    matched = len(shifts) / count
    shift = float(np.mean(shifts)) if shifts else None
    return {
        "basis": "boxes",
        "passed": matched >= share and shift is not None and abs(shift) <= SCORE_SHIFT,
        "limit": share,
        "boxes": count,
        "matched": matched,
        "score_shift": shift,
    }


def matched_shifts(expected: Detections, got: Detections, iou_limit: float) -> list[float]:
    """Return how the score changed of each expected box that finds one of its class of its own, best score first."""
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
