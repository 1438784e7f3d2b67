"""YOLOX: each cell of three grids gives a box's centre and log size in strides, objectness and class scores.

After Megvii's YOLOX (arXiv:2107.08430), exported without decoding in the graph; scores are probabilities already.
"""

import functools
from collections.abc import Sequence

import numpy as np

from edge.codecs.class_names import check_class_count
from edge.nms.overlap import class_nms
from edge.types import F32, Detections
from runtimes.base import Array
from runtimes.codec_spec import YOLOXCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], codec: YOLOXCodec, spec: ModelSpec) -> list[Detections]:
    """Return the boxes above `thresholds.score`, best first; a cell gives its best class only.

    tensors: one (B, A, 5 + classes) float32. Raises InputError unless A is the number of cells of `image.wh`, and for
    another number of classes than the model's.
    """
    (values,) = tensors
    check_class_count(values.shape[2] - 5, spec)
    grid = _grid(spec.image.wh, codec.strides)
    if values.shape[1] != len(grid):
        raise InputError(
            f"{spec.model}: {values.shape[1]} cells, but {spec.image.wh} at strides {codec.strides} "
            f"has {len(grid)}; check image.wh and the codec in artifact.json"
        )
    return [_decode_one(cells, grid, codec, spec) for cells in values]


def _decode_one(cells: F32, grid: F32, codec: YOLOXCodec, spec: ModelSpec) -> Detections:
    # Class scores are at most 1, so objectness alone rules out most cells.
    likely = np.flatnonzero(cells[:, 4] > spec.thresholds.score)
    labels = cells[likely, 5:].argmax(axis=1)
    scores = cells[likely, 4] * cells[likely, 5 + labels]
    best = np.argsort(-scores, kind="stable")[: codec.max_candidates]
    best = best[scores[best] > spec.thresholds.score]
    likely, labels, scores = likely[best], labels[best].astype(np.int32), scores[best]
    points, strides = grid[likely, :2], grid[likely, 2:]
    centres = (cells[likely, :2] + points) * strides
    halves = np.exp(cells[likely, 2:4]) * strides / 2
    boxes = np.concatenate([centres - halves, centres + halves], axis=1)
    kept = class_nms(boxes, scores, labels, spec.thresholds.nms_iou)[: codec.max_detections]
    return Detections(boxes[kept], scores[kept], labels[kept])


@functools.lru_cache(maxsize=8)
def _grid(input_wh: tuple[int, int], strides: tuple[int, ...]) -> F32:
    """Return (A, 3): column, row and stride of every cell, finest level first, row by row."""
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: input_wh[1] // stride, : input_wh[0] // stride]
        levels.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=2).reshape(-1, 3))
    grid: F32 = np.concatenate(levels).astype(np.float32)
    grid.setflags(write=False)
    return grid
