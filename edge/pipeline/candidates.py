"""Boxes that the pose model gets: detected ones, around people's keypoints, and where lost people may be."""

from dataclasses import dataclass

import numpy as np

from edge.geometry import solid_boxes
from edge.nms.overlap import pairwise_iou
from edge.pipeline.options import TrackOptions
from edge.pipeline.result import PersonState
from edge.types import F32, I32, Detections, Floats, Indices, Mask

PREDICTED_SCORE = 0.5
"""Box score of a lost person over the last one: a pose there suppresses none in the box of a person who was seen."""
INSIDE = 0.9
"""Share of a track's box from which it lies inside a detected box."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes that the pose model gets, best first.

    boxes: float32 (N, 4) xyxy; scores: float32 (N,); states: the origin of each; ids: int32 (N,), the track whose box
    it is or, of a detected one, whose place it takes; -1 for none.
    """

    boxes: F32
    scores: F32
    states: tuple[PersonState, ...]
    ids: I32

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True)
class Expected:
    """People who are expected in a frame, older tracks first.

    boxes: float32 (T, 4) xyxy; scores: float32 (T,), of their last boxes; ids: int32 (T,); lost: bool (T,), those that
    were not seen in the frame before.
    """

    boxes: F32
    scores: F32
    ids: I32
    lost: Mask

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Mask) -> "Expected":
        return Expected(self.boxes[rows], self.scores[rows], self.ids[rows], self.lost[rows])


def detected(found: Detections) -> Candidates:
    """Return the detector's boxes alone."""
    states: list[PersonState] = ["detected"] * len(found)
    return Candidates(found.boxes, found.scores, tuple(states), np.full(len(found), -1, np.int32))


def merge(found: Detections, expected: Expected, options: TrackOptions) -> Candidates:
    """Return one box a person, as far as boxes tell.

    A detected box takes the place of the track that it overlaps most, from IoU `track_iou_thr` on, or that lies inside
    it: few of a person's keypoints may have been confident. Of the other
    tracks, those stay that overlap no better box by more than `det_nms_thr`: people whom the detector missed, and those
    where lost people may be.
    """
    found = found[_large(found.boxes, options.det_min_bbox_size)]
    expected = expected[_large(expected.boxes, options.pose_min_bbox_size)]
    if not len(found) and not expected.lost.any():  # the usual frame between detections
        return _limited(
            expected.boxes, expected.scores, ["tracked"] * len(expected), expected.ids, options
        )
    covered = _covered(found.boxes, expected.boxes, options.track_iou_thr)
    taken = np.array([-1, *expected.ids], np.int32)[covered + 1]
    free = ~np.isin(np.arange(len(expected)), covered)
    seen = expected[free & ~expected.lost]
    seen = seen[~_overlapping(seen.boxes, found.boxes, options.det_nms_thr)]
    lost = expected[free & expected.lost]
    better = np.concatenate([found.boxes, seen.boxes])
    lost = lost[~_overlapping(lost.boxes, better, options.det_nms_thr)]
    states: list[PersonState] = ["detected"] * len(found)
    states += ["tracked"] * len(seen)
    states += ["predicted"] * len(lost)
    scores = np.concatenate([found.scores, seen.scores, lost.scores * np.float32(PREDICTED_SCORE)])
    boxes = np.concatenate([better, lost.boxes])
    return _limited(boxes, scores, states, np.concatenate([taken, seen.ids, lost.ids]), options)


def _limited(
    boxes: F32, scores: F32, states: list[PersonState], ids: I32, options: TrackOptions
) -> Candidates:
    """Return the first `pose_max_num_bboxes` candidates."""
    most = None if options.pose_max_num_bboxes == -1 else options.pose_max_num_bboxes
    return Candidates(boxes[:most], scores[:most], tuple(states[:most]), ids[:most])


def _large(boxes: F32, least_side: float) -> Mask:
    """Return which boxes have an area, of at least a square of this side; -1 for any."""
    areas: F32 = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return solid_boxes(boxes) & np.greater_equal(areas, max(least_side, 0) ** 2)


def _covered(found: F32, tracks: F32, threshold: float) -> Indices:
    """Return the track of each detected box, intp (N,), -1 for none: pairs by overlap, the largest first."""
    chosen = np.full(len(found), -1, np.intp)
    if not len(found) or not len(tracks):
        return chosen
    overlaps: Floats = pairwise_iou(found, tracks)
    overlaps = np.where(_inside(found, tracks), np.maximum(overlaps, threshold), overlaps)
    while overlaps.max() >= max(threshold, np.finfo(np.float32).tiny):
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        chosen[row] = column
        overlaps[row] = overlaps[:, column] = -1
    return chosen


def _inside(found: F32, tracks: F32) -> Mask:
    """Return which tracks lie almost wholly inside which detected boxes, bool (N, T)."""
    low = np.maximum(found[:, None, :2], tracks[:, :2])
    high = np.minimum(found[:, None, 2:], tracks[:, 2:])
    shared: F32 = (high - low).clip(0).prod(axis=2)
    areas: F32 = (tracks[:, 2:] - tracks[:, :2]).prod(axis=1)
    return shared >= INSIDE * areas


def _overlapping(boxes: F32, others: F32, threshold: float) -> Mask:
    if not len(others):
        return np.zeros(len(boxes), np.bool_)
    most: Floats = pairwise_iou(boxes, others).max(axis=1)
    return most > threshold
