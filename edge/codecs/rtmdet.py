"""RTMDet: each cell of three grids gives class logits and the distances to the four sides of a box.

After mmdet's RTMDetHead (arXiv:2212.07784): threshold, top candidates a level, clipping to the input, NMS a class.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.codecs.class_names import check_class_count
from edge.nms.overlap import class_nms
from edge.types import F32, Detections
from runtimes.base import Array
from runtimes.codec_spec import RTMDetCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], codec: RTMDetCodec, spec: ModelSpec) -> list[Detections]:
    """Return the boxes above `thresholds.score`, clipped to the input, best first.

    tensors, float32: class logits (B, C, h, w) of each level, then distances to the left, top, right and bottom side
    (B, 4, h, w) of each level, in pixels. Distances may be negative; boxes without area are dropped. Raises InputError
    for another number of classes than the model's.
    """
    levels = len(codec.strides)
    logits, distances = tensors[:levels], tensors[levels:]
    check_class_count(logits[0].shape[1], spec)
    return [
        _decode_one([level[i] for level in logits], [level[i] for level in distances], codec, spec)
        for i in range(len(tensors[0]))
    ]


def _decode_one(
    logits: list[F32], distances: list[F32], codec: RTMDetCodec, spec: ModelSpec
) -> Detections:
    floor = _logit(spec.thresholds.score)
    found = [
        _candidates(*level, floor, codec.max_candidates)
        for level in zip(logits, distances, codec.strides, strict=True)
    ]
    boxes, values, labels = (np.concatenate(parts) for parts in zip(*found, strict=True))
    np.clip(boxes, 0, (*spec.image.wh, *spec.image.wh), out=boxes)
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, values, labels = boxes[solid], values[solid], labels[solid]
    kept = class_nms(boxes, values, labels, spec.thresholds.nms_iou)[: codec.max_detections]
    # tanh, since exp overflows on very negative logits
    scores: F32 = (0.5 + 0.5 * np.tanh(0.5 * values[kept])).astype(np.float32)
    return Detections(boxes[kept], scores, labels[kept])


def _candidates(
    logits: F32, distances: F32, stride: int, floor: float, limit: int
) -> tuple[F32, F32, NDArray[np.int32]]:
    """Return the boxes (M, 4), logits (M,) and labels (M,) of the best cells of one level, at most `limit`."""
    flat = logits.reshape(len(logits), -1)
    labels, cells = np.nonzero(flat > floor)
    values = flat[labels, cells]
    if len(values) > limit:
        best = np.argpartition(-values, limit)[:limit]
        labels, cells, values = labels[best], cells[best], values[best]
    points = np.stack(np.divmod(cells, logits.shape[2])[::-1], axis=1).astype(np.float32) * stride
    sides = distances.reshape(4, -1)[:, cells].T
    boxes = np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1)
    return boxes, values, labels.astype(np.int32)


def _logit(score: float) -> float:
    """Return the logit of a score: cells are thresholded as logits, so that the sigmoid runs on few."""
    if not 0 < score < 1:
        return -math.inf if score <= 0 else math.inf
    return math.log(score / (1 - score))
