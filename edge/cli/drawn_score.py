"""Poses of a drawn clip beside its ground truth, and beside another runtime's poses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge.nms.overlap import pairwise_iou
from edge.synth import Scene
from edge.types import F32, F64, Poses

FOUND_IOU = 0.5


@dataclass(frozen=True, slots=True)
class DrawnScore:
    """People counted frame by frame: `drawn` = `found` + `missed`; `false_positives` are poses of no drawn person.

    error_px: median distance of the found people's visible keypoints from the truth, in pixels of the clip; None where
    nobody is found.
    """

    drawn: int
    found: int
    missed: int
    false_positives: int
    error_px: float | None


def score_clip(scenes: Sequence[Scene], poses: Sequence[Poses]) -> DrawnScore:
    """Compare the poses of each frame with the people drawn there; a person is found by a box at IoU .5 or more."""
    drawn = found = total = 0
    distances: list[F64] = []
    for scene, there in zip(scenes, poses, strict=True):
        truth = np.array([person.box for person in scene.people], np.float32).reshape(-1, 4)
        for person, row in match_boxes(truth, there.boxes):
            points = scene.people[person].keypoints
            distances.append(_distances(points[:, :2], there.xy[row])[points[:, 2] == 2])
            found += 1
        drawn += len(truth)
        total += len(there)
    every = np.concatenate(distances) if distances else np.zeros(0)
    error = round(float(np.median(every)), 2) if len(every) else None
    return DrawnScore(drawn, found, drawn - found, total - found, error)


def drift_px(reference: Sequence[Poses], poses: Sequence[Poses]) -> tuple[float | None, int]:
    """Return how far keypoints lie from the reference's, in pixels (95th percentile), and the poses without a partner.

    The distance is None where no pose has a partner.
    """
    distances: list[F64] = []
    unpaired = 0
    for expected, got in zip(reference, poses, strict=True):
        pairs = match_boxes(expected.boxes, got.boxes)
        distances += [_distances(expected.xy[first], got.xy[second]) for first, second in pairs]
        unpaired += len(expected) + len(got) - 2 * len(pairs)
    if not distances:
        return None, unpaired
    return round(float(np.percentile(np.concatenate(distances), 95)), 3), unpaired


def match_boxes(truth: F32, boxes: F32) -> list[tuple[int, int]]:
    """Pair boxes (N, 4) with (M, 4) one to one, the best overlap first, down to FOUND_IOU."""
    if not len(truth) or not len(boxes):
        return []
    iou = pairwise_iou(truth, boxes)
    pairs = []
    while iou.max() >= FOUND_IOU:
        first, second = np.unravel_index(int(iou.argmax()), iou.shape)
        pairs.append((int(first), int(second)))
        iou[first], iou[:, second] = 0, 0
    return pairs


def _distances(first: F32, second: F32) -> F64:
    """Return the distances of keypoints (K, 2), float64 (K,)."""
    away: F64 = np.linalg.norm(first.astype(np.float64) - second, axis=1)
    return away
