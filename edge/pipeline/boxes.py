"""Boxes that the pose model gets: around the last poses, and usable in the frame."""

import numpy as np

from edge.geometry import keypoint_boxes, reaching, solid_boxes
from edge.nms.overlap import pairwise_iou
from edge.pipeline.options import TrackOptions
from edge.types import F32, U8, Detections, Floats, Mask, Poses

CROSSING = (0.05, 0.5)
"""IoU with another person's box for which a box only moves: keypoints may be the other's. Above it is one person."""


def usable(found: Detections, image: U8) -> Detections:
    """Return the boxes that have an area and reach into the frame.

    Detectors, keypoints that all lie at one place, and people who left the frame give others.
    """
    return found[usable_boxes(found.boxes, image)]


def usable_boxes(boxes: F32, image: U8) -> Mask:
    """Return which boxes float32 (N, 4) xyxy have an area and reach into the frame, bool (N,)."""
    height, width = image.shape[:2]
    mask: Mask = solid_boxes(boxes) & reaching(boxes, (width, height))
    return mask


def clipped(boxes: F32, image: U8) -> F32:
    """Return the part of each box float32 (N, 4) xyxy inside the frame."""
    height, width = image.shape[:2]
    inside: F32 = boxes.clip(0, np.array([width, height] * 2, np.float32))
    return inside


def confident(poses: Poses, options: TrackOptions) -> Mask:
    """Return whose pose is that of a person, bool (N,): by the number of confident keypoints."""
    sure = (poses.scores >= options.pose_kpt_thr).sum(axis=1)
    mask: Mask = sure >= options.wanted_keypoints(poses.scores.shape[1])
    return mask


def follow_boxes(poses: Poses, options: TrackOptions) -> Detections:
    """Return the boxes for the next frame: around each person's confident keypoints, padded.

    Other keypoints may lie anywhere, so they do not stretch the box. Without people there are no boxes.
    """
    poses = poses[confident(poses, options)]
    if not len(poses):
        return Detections.empty()
    around = keypoint_boxes(poses.xy, poses.scores >= options.pose_kpt_thr)
    low, high = around[:, :2], around[:, 2:]
    centre, half = (low + high) / 2, (high - low) / 2 * options.pose_bbox_scale
    boxes: F32 = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return Detections(boxes, poses.box_scores, np.zeros(len(poses), np.int32))


def overlapping_others(boxes: F32) -> Floats:
    """Return the largest IoU of each box (N, 4) xyxy with another one, (N,)."""
    overlaps = pairwise_iou(boxes, boxes)
    np.fill_diagonal(overlaps, 0)
    most: Floats = overlaps.max(axis=1, initial=0)
    return most
