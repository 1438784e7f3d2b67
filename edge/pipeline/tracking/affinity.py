"""Similarity of poses and tracks: overlap of boxes, and of keypoints where boxes overlap."""

from dataclasses import dataclass

import numpy as np

from edge.geometry import keypoint_boxes
from edge.nms.overlap import Placed, oks_of_pairs, pairwise_iou
from edge.pipeline.options import TrackOptions
from edge.types import F32, Mask, Poses

NO_SIGMA = 0.079
"""Sigma of keypoints that have none published: the mean of COCO's shoulders, elbows, wrists and hips."""


@dataclass(frozen=True, slots=True)
class Seen:
    """People as they were seen: xy float32 (N, K, 2), keypoints that count bool (N, K), boxes float32 (N, 4) xyxy."""

    xy: F32
    visible: Mask
    boxes: F32


def visible(poses: Poses, options: TrackOptions) -> Mask:
    """Return the keypoints that are placed with confidence, bool (N, K)."""
    found: Mask = (poses.scores >= options.pose_kpt_thr) & np.isfinite(
        poses.xy[..., 0] + poses.xy[..., 1]
    )
    return found


def enough(seen: Mask, options: TrackOptions) -> Mask:
    """Return who has enough confident keypoints, bool (N,)."""
    many: Mask = seen.sum(axis=1) >= options.wanted_keypoints(seen.shape[1])
    return many


def boxes_of(poses: Poses, seen: Mask, options: TrackOptions) -> F32:
    """Return the box of each person, float32 (N, 4): around the confident keypoints, padded; without enough, its own.

    Boxes that the pose model was given come from detections and keypoints in turn, and jump where these change.
    """
    with np.errstate(invalid="ignore"):  # of people without any keypoint, whose box is not used
        around = keypoint_boxes(poses.xy, seen)
        low, high = around[:, :2], around[:, 2:]
        centre, half = (low + high) / 2, (high - low) / 2 * options.pose_bbox_scale
    padded = np.concatenate([centre - half, centre + half], axis=1)
    usable = enough(seen, options) & (half > 0).all(axis=1)
    boxes: F32 = np.where(usable[:, None], padded, poses.boxes).astype(np.float32)
    return boxes


def moved(xy: F32, seen_boxes: F32, boxes: F32) -> F32:
    """Return keypoints float32 (T, K, 2) moved as their boxes moved, both (T, 4) xyxy."""
    seen_wh, wh = seen_boxes[:, 2:] - seen_boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    scale = wh / np.maximum(seen_wh, 1)
    shift = boxes[:, :2] - seen_boxes[:, :2] * scale
    count = xy.shape[1]  # rows of all coordinates: ten times as fast as pairs of x and y
    rows = xy.reshape(len(xy), -1) * np.tile(scale, count) + np.tile(shift, count)
    placed: F32 = rows.astype(np.float32).reshape(xy.shape)
    return placed


def size_changes(boxes: F32, others: F32) -> F32:
    """Return the ratio of the sizes of boxes (N, 4) and others (T, 4) xyxy, float32 (N, T), at least 1."""
    one, other = np.sqrt(_areas(boxes)), np.sqrt(_areas(others))
    ratio = one[:, None] / other
    larger: F32 = np.maximum(ratio, 1 / ratio).astype(np.float32)
    return larger


def distances(poses: Seen, tracks: Seen, sigmas: tuple[float, ...]) -> F32:
    """Return the distance of each pose from each track, float32 (N, T), 0 to 1: 1 - (IoU + OKS) / 2.

    Eq. 22 of AlphaPose, (1 - IoU) + lambda dist_np, with lambda 1, halved to end at 1. Its dist_np (eq. 19) grows with
    similarity; 1 - OKS takes its place. Where boxes do not overlap, OKS counts as 0.
    """
    overlap = pairwise_iou(poses.boxes, tracks.boxes).astype(np.float32)
    rows, columns = np.nonzero(overlap > 0)
    if len(rows):
        one = Placed(poses.xy, poses.visible, _areas(poses.boxes))
        other = Placed(tracks.xy, tracks.visible, _areas(tracks.boxes))
        used = sigmas or (NO_SIGMA,) * poses.visible.shape[1]
        overlap[rows, columns] += oks_of_pairs(one, rows, other, columns, np.array(used))
    apart: F32 = (1 - overlap / 2).astype(np.float32)
    return apart


def _areas(boxes: F32) -> F32:
    """Return areas of boxes (N, 4) xyxy in square pixels, at least 1."""
    areas: F32 = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1)
    return areas
