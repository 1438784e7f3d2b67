"""Ultralytics' YOLO, v8 and later, exported without NMS: a column of numbers a cell, already in input pixels.

After the output format of its ONNX export; thresholds and NMS as its predictor runs them.
"""

from collections.abc import Sequence

import numpy as np

from edge.nms.overlap import class_nms
from edge.types import F32, Detections, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import YoloCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


def decode(
    tensors: Sequence[Array], codec: YoloCodec, spec: ModelSpec
) -> list[Keypoints] | list[Detections]:
    """Return the boxes above `thresholds.score`, best first, or their keypoints where the model gives poses.

    tensors: one (B, 4 + classes + K * point_values, A) float32. A cell gives its best class only.
    Raises InputError where the number of channels leaves no class.
    """
    (values,) = tensors
    points = len(spec.keypoints.names) if spec.keypoints else 0
    classes = values.shape[1] - 4 - points * codec.point_values
    if classes < 1 or (spec.classes and len(spec.classes) != classes):
        raise InputError(
            f"{spec.model}: {values.shape[1]} channels are not 4, {len(spec.classes or ()) or 'some'} classes and "
            f"{points} keypoints of {codec.point_values}; check classes and keypoints in artifact.json"
        )
    if not points:
        return [_best(image, classes, codec, spec)[0] for image in values]
    poses = []
    for image in values:
        boxes, cells = _best(image, classes, codec, spec)
        triplets = image[4 + classes :, cells].T.reshape(len(cells), points, codec.point_values)
        poses.append(keypoints(triplets, boxes))
    return poses


def keypoints(values: F32, boxes: Detections) -> Keypoints:
    """Return poses of (N, K, 2 or 3) x, y and score; without a score of its own a keypoint has its box's."""
    scores = values[..., 2] if values.shape[2] == 3 else np.ones_like(values[..., 0])
    if values.shape[2] == 2:
        scores = scores * boxes.scores[:, None]
    return Keypoints(np.ascontiguousarray(values[..., :2]), np.ascontiguousarray(scores), boxes)


def _best(image: F32, classes: int, codec: YoloCodec, spec: ModelSpec) -> tuple[Detections, Array]:
    """Return the boxes of one image (C, A) that survive, and the cells that they are of."""
    scored = image[4 : 4 + classes]
    labels = scored.argmax(axis=0)
    scores = scored[labels, np.arange(scored.shape[1])]
    best = np.argsort(-scores, kind="stable")[: codec.max_candidates]
    best = best[scores[best] > spec.thresholds.score]
    centres, halves = image[:2, best].T, image[2:4, best].T / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    kept = class_nms(boxes, scores[best], labels[best].astype(np.int32), spec.thresholds.nms_iou)
    kept = kept[: codec.max_detections]
    cells = best[kept]
    return Detections(boxes[kept], scores[cells], labels[cells].astype(np.int32)), cells
