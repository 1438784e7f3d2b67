"""Ultralytics' YOLO with NMS in the graph, or trained end-to-end: a row a box, already in input pixels."""

from collections.abc import Sequence

import numpy as np

from edge.codecs.class_names import check_labels
from edge.codecs.yolo import keypoints
from edge.types import Detections, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import YoloRowsCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


def decode(
    tensors: Sequence[Array], codec: YoloRowsCodec, spec: ModelSpec
) -> list[Keypoints] | list[Detections]:
    """Return the boxes above `thresholds.score`, best first, or their keypoints where the model gives poses.

    tensors: one (B, N, 6 + K * point_values) float32. Raises InputError for another number of columns and
    for a label without a class name.
    """
    (values,) = tensors
    points = len(spec.keypoints.names) if spec.keypoints else 0
    if values.shape[2] != 6 + points * codec.point_values:
        raise InputError(
            f"{spec.model}: {values.shape[2]} columns are not 6 and {points} keypoints of {codec.point_values}; "
            "check keypoints in artifact.json"
        )
    kept = [_above(rows, spec.thresholds.score) for rows in values]
    boxes = [
        check_labels(
            Detections(
                np.ascontiguousarray(rows[:, :4]),
                np.ascontiguousarray(rows[:, 4]),
                rows[:, 5].astype(np.int32),
            ),
            spec,
        )
        for rows in kept
    ]
    if not points:
        return boxes
    return [
        keypoints(rows[:, 6:].reshape(len(rows), points, codec.point_values), found)
        for rows, found in zip(kept, boxes, strict=True)
    ]


def _above(rows: Array, threshold: float) -> Array:
    order = np.argsort(-rows[:, 4], kind="stable")
    kept: Array = rows[order[rows[order, 4] > threshold]]
    return kept
