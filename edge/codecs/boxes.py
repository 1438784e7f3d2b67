"""Boxes of a graph that runs NMS itself: only the score threshold is applied here."""

from collections.abc import Sequence

import numpy as np

from edge.codecs.class_names import check_labels
from edge.types import Detections
from runtimes.base import Array
from runtimes.codec_spec import BoxesCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], _codec: BoxesCodec, spec: ModelSpec) -> list[Detections]:
    """Return the boxes above `thresholds.score`, best first.

    tensors: dets (B, N, 5) as x0, y0, x1, y1, score in input pixels; labels (B, N), -1 where a row is padding.
    Raises InputError for a label without a class name.
    """
    dets, labels = tensors
    return [
        check_labels(_above(rows, classes, spec.thresholds.score), spec)
        for rows, classes in zip(dets, labels, strict=True)
    ]


def _above(dets: Array, labels: Array, threshold: float) -> Detections:
    order = np.argsort(-dets[:, 4], kind="stable")
    kept = order[(dets[order, 4] > threshold) & (labels[order] >= 0)]
    return Detections(dets[kept, :4], dets[kept, 4], labels[kept].astype(np.int32))
