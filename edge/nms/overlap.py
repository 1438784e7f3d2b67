"""Non-maximum suppression of boxes by IoU and of poses by OKS, and both overlaps.

Suppressions return the indices to keep, best score first; inputs are not modified.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, F64, Floats, Indices, Mask

# Boxes are compared with the kept ones in blocks: memory stays bounded, and clutter costs N x kept, not N x N.
_BLOCK = 128


def pairwise_iou(a: Floats, b: Floats, *, offset: float = 0.0) -> Floats:
    """Return the intersection over union of boxes a (N, 4) and b (M, 4), xyxy, as (N, M); 0 where both are empty.

    offset: 0 measures between edges (mmcv); 1 counts pixels, end included (mmpose's own box NMS).
    """
    ax0, ay0, ax1, ay1 = np.ascontiguousarray(a.T)[:, :, None]
    bx0, by0, bx1, by1 = np.ascontiguousarray(b.T)
    inter = _overlap(ax0, ax1, bx0, bx1, offset)
    inter *= _overlap(ay0, ay1, by0, by1, offset)
    union = _areas(a, offset)[:, None] + _areas(b, offset)
    union -= inter
    np.maximum(union, np.finfo(union.dtype).tiny, out=union)
    inter /= union
    return inter


def box_nms(boxes: Floats, scores: Floats, iou_threshold: float, *, offset: float = 0.0) -> Indices:
    """Drop every box whose IoU with a better kept box exceeds the threshold.

    boxes: (N, 4) xyxy; scores: (N,). Ties keep the earlier box. `offset` as in `pairwise_iou`.
    """
    order = np.argsort(-scores, kind="stable")
    kept = np.zeros(0, np.intp)
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        if len(kept):
            covered = pairwise_iou(boxes[block], boxes[kept], offset=offset) > iou_threshold
            block = block[~covered.any(axis=1)]
        overlaps = pairwise_iou(boxes[block], boxes[block], offset=offset) > iou_threshold
        kept = np.concatenate([kept, block[greedy(overlaps)]])
    return kept


def class_nms(
    boxes: Floats, scores: Floats, labels: NDArray[np.integer], iou_threshold: float
) -> Indices:
    """Run `box_nms` within each class of labels (N,); boxes of different classes do not suppress each other."""
    if len(boxes) == 0 or labels.min() == labels.max():
        return box_nms(boxes, scores, iou_threshold)
    kept = [
        rows[box_nms(boxes[rows], scores[rows], iou_threshold)]
        for rows in (np.flatnonzero(labels == label) for label in np.unique(labels))
    ]
    together = np.concatenate(kept)
    order: Indices = together[np.argsort(-scores[together], kind="stable")]
    return order


def keypoint_similarity(squared: Floats, areas: Floats, sigmas: Floats) -> F64:
    """Return the similarity of each keypoint, exp(-d^2 / (2 area (2 sigma)^2)), float64 (..., K).

    squared: d^2, (..., K) square pixels; areas: (...,) square pixels; sigmas: (K,), COCO's. Its mean over the keypoints
    that count is the object keypoint similarity (OKS): cocodataset.org/#keypoints-eval.
    """
    variances = np.square(2 * np.asarray(sigmas, np.float64))
    similarity: F64 = np.exp(-squared / (2 * variances * (areas + np.spacing(1))[..., None]))
    return similarity


def oks_matrix(xy: Floats, visible: Mask | None, areas: Floats, sigmas: Floats) -> F32:
    """Return the object keypoint similarity of every two poses, float32 (N, N), as COCO and mmpose define it.

    xy: (N, K, 2); visible: (N, K), or None for all: only points visible in both count, and none gives 0;
    areas: (N,) in square pixels; sigmas: (K,), COCO's.
    """
    squared = np.square(xy[:, None] - xy).sum(axis=3)
    similarity = keypoint_similarity(squared, (areas[:, None] + areas) / 2, sigmas)
    if visible is None:
        mean: F32 = similarity.mean(axis=2).astype(np.float32)
        return mean
    both = visible[:, None] & visible
    shared: F32 = (similarity * both).sum(axis=2) / np.maximum(both.sum(axis=2), 1)
    return shared.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Placed:
    """Poses to compare: xy (N, K, 2); visible bool (N, K), keypoints that count; areas (N,), square pixels above 0."""

    xy: Floats
    visible: Mask
    areas: Floats


def oks_of_pairs(
    one: Placed, rows: Indices, other: Placed, columns: Indices, sigmas: Floats
) -> F32:
    """Return the OKS of P pairs, float32 (P,): of `rows` (P,) of one and `columns` (P,) of the other.

    Over keypoints visible in both; 0 where there are none; sigmas: (K,), COCO's. In float32 and ten times as fast as
    `oks_matrix`: for comparisons with a threshold.
    """
    both = one.visible[rows] & other.visible[columns]
    squared: F32 = np.zeros(both.shape, np.float32)
    for axis in range(2):  # one coordinate after the other: operations along memory
        offset = _coordinate(one, axis)[rows]
        offset -= _coordinate(other, axis)[columns]
        offset *= offset
        squared += offset
    squared *= np.float32(-0.125) / np.square(np.asarray(sigmas, np.float32))
    squared /= ((one.areas[rows] + other.areas[columns]) / 2).astype(np.float32)[:, None]
    similarity = np.exp(squared, out=squared)
    similarity *= both
    counts = (one.visible.astype(np.float32) @ other.visible.T.astype(np.float32))[rows, columns]
    mean: F32 = (similarity.sum(axis=1) / np.maximum(counts, 1)).astype(np.float32)
    return mean


def _coordinate(poses: Placed, axis: int) -> F32:
    """Return x or y, float32 (N, K); 0 where it does not count, which may be NaN."""
    values: F32 = np.where(poses.visible, poses.xy[..., axis], 0).astype(np.float32)
    return values


def oks_nms(oks: F32, scores: Floats, threshold: float) -> Indices:
    """Drop every pose whose similarity to a better kept pose exceeds the threshold.

    oks: (N, N) from `oks_matrix`; scores: (N,).
    """
    order = np.argsort(-scores, kind="stable")
    kept: Indices = order[greedy(oks[np.ix_(order, order)] > threshold)]
    return kept


def soft_oks_nms(oks: F32, scores: Floats, threshold: float, *, max_kept: int = 20) -> Indices:
    """Rank poses, lowering after each pick the scores of similar poses by exp(-oks^2 / threshold).

    oks: (N, N) from `oks_matrix`; scores: (N,). Keeps at most `max_kept`. Soft-NMS, arXiv:1704.04503.
    """
    left = np.array(scores, np.float64)
    kept = []
    for _ in range(min(len(left), max_kept)):
        best = int(np.argmax(left))
        kept.append(best)
        left *= np.exp(-np.square(oks[best]) / threshold)
        left[best] = -np.inf
    return np.array(kept, np.intp)


def greedy(overlaps: Mask) -> Indices:
    """Return the rows kept when each, in order, drops every later one that it overlaps; overlaps: (N, N)."""
    alive = np.ones(len(overlaps), np.bool_)
    # Rows without any overlap are neither dropping nor dropped: the loop skips them.
    for row in np.flatnonzero(overlaps.sum(axis=1) > overlaps.diagonal()):
        if alive[row]:
            alive[row + 1 :] &= ~overlaps[row, row + 1 :]
    kept: Indices = np.flatnonzero(alive)
    return kept


def _overlap(a0: Floats, a1: Floats, b0: Floats, b1: Floats, offset: float) -> Floats:
    """Return the overlap of intervals a (N, 1) and b (M,), (N, M); in place, which is three times as fast."""
    length: Floats = np.minimum(a1, b1)
    length -= np.maximum(a0, b0)
    length += offset
    np.maximum(length, 0, out=length)
    return length


def _areas(boxes: Floats, offset: float) -> Floats:
    areas: Floats = (boxes[:, 2] - boxes[:, 0] + offset) * (boxes[:, 3] - boxes[:, 1] + offset)
    return areas
