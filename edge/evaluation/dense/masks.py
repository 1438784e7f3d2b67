"""Intersection over union of segmentation masks, over all pixels of a data set, as in mmsegmentation's IoUMetric."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.types import I32, Mask

Confusion = NDArray[np.int64]
Figures = dict[str, float | None]


def confusion(labels: I32, truth: I32, counts: Mask, classes: int) -> Confusion:
    """Return how many pixels of a class (row) were labelled as which (column), int64 (C, C).

    labels, truth: int32 (H, W), 0 to C - 1; counts: bool (H, W), the pixels that count.
    """
    pairs = truth[counts].astype(np.int64) * classes + labels[counts]
    found: Confusion = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return found


def mask_figures(pixels: Confusion, names: Sequence[str]) -> tuple[Figures, dict[str, Figures]]:
    """Return mIoU, mAcc and the share of right pixels, and IoU and accuracy of each class; 0 to 1.

    A class that is neither there nor labelled has no IoU, one that is not there no accuracy: the means leave it out.
    """
    right = pixels.diagonal()
    there, labelled = pixels.sum(axis=1), pixels.sum(axis=0)
    iou = [_ratio(a, b) for a, b in zip(right, there + labelled - right, strict=True)]
    accuracy = [_ratio(a, b) for a, b in zip(right, there, strict=True)]
    figures: Figures = {
        "mIoU": _mean(iou),
        "mAcc": _mean(accuracy),
        "accuracy": _ratio(right.sum(), there.sum()),
    }
    classes: dict[str, Figures] = {
        name: {"IoU": a, "accuracy": b} for name, a, b in zip(names, iou, accuracy, strict=True)
    }
    return figures, classes


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
