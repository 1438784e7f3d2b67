"""People who are followed from frame to frame: expected boxes, identity, smoothing."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edge.geometry import solid_boxes
from edge.pipeline.boxes import (
    CROSSING,
    clipped,
    confident,
    follow_boxes,
    overlapping_others,
    usable_boxes,
)
from edge.pipeline.candidates import Candidates, Expected, merge
from edge.pipeline.options import SceneOptions, TrackOptions
from edge.pipeline.pose_nms import oks_between
from edge.pipeline.rare_warnings import RareWarnings
from edge.pipeline.result import PersonState
from edge.pipeline.tracking import OneEuroSmoother, Tracker
from edge.schema import KeypointSchema
from edge.types import F32, I32, Detections, Frame, Mask, Poses, counted

MOST_MARGIN = 0.15
"""Share of the box around a person's keypoints by which a side of the detected box may lie further out."""
MOST_GROWTH = 1.1
"""Of the longer side of the box around a person's keypoints, from one frame to the next, of one who walks."""
SIZE_GAIN = np.float32(0.5)
"""Share of a change of size that keypoints cause: they come and go, and the person's size does not."""
MOST_STEP = 2.0
"""Frame intervals over which a person is expected to walk on as between the last two frames."""


class Settled(NamedTuple):
    """One frame's people.

    shown: as they are reported; states: one a person. lost: a person of the frame before is not among them; new: a
    person is, who was not.
    """

    shown: Poses
    states: tuple[PersonState, ...]
    lost: bool
    new: bool


class People:
    """The people of one source who are followed, frame after frame."""

    def __init__(self, schema: KeypointSchema, options: SceneOptions) -> None:
        self._options = options
        self._tracking = options.tracking
        self._nobody = Poses.empty(schema)
        self._tracker = Tracker(options.tracking, schema)
        self._smoother = None if options.smooth == "none" else OneEuroSmoother(options.tracking)
        self._last = self._before = self._nobody
        self._last_s = self._before_s = 0.0
        self._scores: dict[int, float] = {}
        self._margins: dict[int, F32] = {}
        self._wh: tuple[int, int] | None = None
        self._resized = 0
        self._resized_warnings, self._time_warnings = RareWarnings(), RareWarnings()

    @property
    def last(self) -> Poses:
        """People of the last frame, not smoothed, with the ids of their tracks whether these are reported or not."""
        return self._last

    def boxes(self) -> F32:
        """Return the boxes around the keypoints of people of the last frame, float32 (N, 4) xyxy."""
        return follow_boxes(self._last, self._tracking).boxes

    def candidates(self, frame: Frame, found: Detections) -> Candidates:
        """Return one box a person: those found, and those of people who are expected where none was found."""
        height, width = frame.image.shape[:2]
        if self._wh not in {None, (width, height)}:
            self._resized += 1
            times = f"; the {self._resized}th such frame" if self._resized > 1 else ""
            self._resized_warnings.warn(
                self._resized,
                f"frame {frame.index} is {width}x{height}, unlike those before: tracks end there{times}",
            )
            self._tracker.forget()
            self._last = self._before = self._nobody
        self._wh = (width, height)
        return merge(found, self._expected(frame), self._tracking)

    def settle(
        self,
        frame: Frame,
        poses: Poses,
        candidates: Candidates | None,
        embeddings: F32 | None,
        duplicates: Poses,
    ) -> Settled:
        """Return the people of the frame: who is one of them, with which id, and smoothed.

        A pose from a box that no detector gave is a person only with enough confident keypoints, and only where it
        continues a track. With `track` everyone has an id, and detected poses without enough confident keypoints are
        nobody either.
        """
        rows = poses.ids
        states = states_of(poses, candidates)
        found = np.array([each == "detected" for each in states], np.bool_)
        kept = np.flatnonzero(found | confident(poses, self._tracking))
        looks = None if embeddings is None else embeddings[kept]
        own = None if candidates is None else candidates.ids[rows[kept]]
        may_start = found[kept]
        if candidates is not None:
            may_start &= poses.box_scores[kept] >= self._tracking.new_track_thr
        ids = self._tracker.update(poses[kept], frame.time_s, looks, own, may_start)
        if candidates is not None:
            ids = self._older(ids, poses[kept], duplicates, candidates)
        people = replace(poses[kept], ids=ids)
        real = np.flatnonzero((ids >= 0) | (found[kept] & (not self._options.track)))
        people, before = people[real], set(self._last.ids.tolist())
        self._before, self._last = self._last, people
        self._before_s, self._last_s = self._last_s, frame.time_s
        self._remember(people, [states[row] for row in kept[real].tolist()])
        self._warn_of_times()
        now = set(people.ids.tolist())
        return Settled(
            self._shown(people, frame.time_s),
            tuple(states[row] for row in kept[real].tolist()),
            lost=bool(before - now - {-1}),
            new=bool(now - before - {-1}),
        )

    def _expected(self, frame: Frame) -> Expected:
        """Return where people are expected: around their last keypoints, or where lost ones may have moved."""
        tracks = self._tracker.predict(frame.time_s)
        order = np.argsort(tracks.ids, kind="stable")
        ids, lost, boxes = tracks.ids[order], tracks.missing_s[order] > 0, tracks.boxes[order]
        known = confident(self._last, self._tracking) & np.isin(self._last.ids, ids)
        people = self._last[known]
        around = self._around(people, frame.time_s)
        boxes[np.searchsorted(ids, people.ids)] = around
        boxes = clipped(boxes, frame.image)
        scores = np.array([self._scores[each] for each in ids.tolist()], np.float32)
        return Expected(boxes, scores, ids, lost)[usable_boxes(boxes, frame.image)]

    def _around(self, people: Poses, time_s: float) -> F32:
        """Return where the detector would have people's boxes at this time, float32 (N, 4) xyxy.

        Around their last keypoints, as far out as their last detected box lay, of a size half way from that of the last
        box, moved on as in the last two frames. Of people who cross, the last boxes, moved on.
        """
        boxes = follow_boxes(people, self._tracking).boxes
        before, now = self._last_s - self._before_s, time_s - self._last_s
        step = min(now / before, MOST_STEP) if before > 0 and now > 0 else 1.0
        none = np.zeros(4, np.float32)
        margins = [self._margins.get(each, none) for each in people.ids.tolist()]
        beyond = np.array(margins, np.float32).reshape(-1, 4) * _sides(boxes)
        overlaps = overlapping_others(people.boxes)
        crossing = (overlaps > CROSSING[0]) & (overlaps <= CROSSING[1])
        boxes = np.where(crossing[:, None], people.boxes, _between(people.boxes, boxes + beyond))
        rows, earlier = np.nonzero(people.ids[:, None] == self._before.ids)
        moved = moved_on(self._before[earlier], people[rows], self._tracking)
        boxes[rows] += np.tile(moved * np.float32(step), 2)
        return boxes

    def _older(self, ids: I32, kept: Poses, duplicates: Poses, candidates: Candidates) -> I32:
        """Return the ids, of two tracks that became one person that of the older.

        kept: the poses that ids are of; duplicates: those that pose NMS dropped. ids of both: rows of the candidates.
        """
        ids = ids.copy()
        if not len(kept) or not len(duplicates):
            return ids
        alike = oks_between(duplicates, kept, self._tracking)
        for own, row in enumerate(duplicates.ids.tolist()):
            one = int(alike[own].argmax())
            same = alike[own, one] > self._tracking.pose_nms_thr
            if candidates.states[row] != "tracked" or not same:
                continue
            both = {int(candidates.ids[each]) for each in (row, int(kept.ids[one]))}
            both -= {-1, *ids.tolist()}
            if both and min(both) < ids[one]:
                self._tracker.merge(min(both), int(ids[one]))
                ids[one] = min(both)
        return ids

    def _remember(self, people: Poses, states: list[PersonState]) -> None:
        """Keep the box score that each track was last seen with, and how its detected box lay around its keypoints."""
        for each, score, state in zip(
            people.ids.tolist(), people.box_scores.tolist(), states, strict=True
        ):
            if state != "predicted":
                self._scores[each] = score
        if "detected" in states:
            self._remember_margins(people[np.array([each == "detected" for each in states])])
        left = self._tracker.ids.tolist()
        self._scores = {each: self._scores[each] for each in left}
        self._margins = {each: self._margins[each] for each in left if each in self._margins}

    def _remember_margins(self, people: Poses) -> None:
        """Keep how far the detected boxes of people lie around their keypoints."""
        people = people[confident(people, self._tracking)]
        around = follow_boxes(people, self._tracking).boxes
        offsets = (people.boxes - around) / np.maximum(_sides(around), 1)
        low, high = [-MOST_MARGIN] * 2 + [0] * 2, [0] * 2 + [MOST_MARGIN] * 2
        self._margins.update(zip(people.ids.tolist(), offsets.clip(low, high), strict=True))

    def _shown(self, people: Poses, time_s: float) -> Poses:
        if self._smoother is not None:
            people = self._smoother.smooth(people, time_s)
        if self._options.track:
            return people
        return replace(people, ids=np.full(len(people), -1, np.int32))

    def _warn_of_times(self) -> None:
        """Warn of time stamps that are not after the ones before."""
        irregular = self._tracker.irregular
        self._time_warnings.warn(
            irregular,
            f"{counted(irregular, 'frame')} of this source came without a later time stamp than the one before; "
            "each counts as one frame interval",
        )


def moved_on(before: Poses, now: Poses, options: TrackOptions) -> F32:
    """Return the median move of the keypoints that are confident in both frames, float32 (N, 2) xy.

    before, now: the same N people. Zero where too few keypoints are to make a person, and where the person seems to
    grow or shrink: more keypoints of one are found, which is no walk.
    """
    both = np.minimum(before.scores, now.scores) >= options.pose_kpt_thr
    enough = both.sum(axis=1) >= options.wanted_keypoints(both.shape[1])
    moved = np.zeros((len(now), 2), np.float32)
    for row in np.flatnonzero(enough).tolist():
        there, here = before.xy[row, both[row]], now.xy[row, both[row]]
        sides = [float(np.ptp(each, axis=0).max()) for each in (there, here)]
        if max(sides) <= MOST_GROWTH * min(sides):
            moved[row] = np.median(here - there, axis=0)
    return moved


def _between(last: F32, around: F32) -> F32:
    """Return boxes float32 (N, 4) xyxy that follow those around keypoints, and change their size half as much.

    What both ends of a box moved by is the person's move; what one end alone moved by, keypoints that came or went. A
    box without an area stays so: keypoints that all lie at one place are no person.
    """
    change = around - last
    low, high = change[:, :2], change[:, 2:]
    least = np.minimum(np.abs(low), np.abs(high))
    moved = np.tile(np.where(low * high > 0, np.copysign(least, low), np.float32(0)), 2)
    return np.where(_flat(around), around, last + moved + SIZE_GAIN * (change - moved))


def _flat(boxes: F32) -> Mask:
    """Return which boxes (N, 4) xyxy have no area, bool (N, 1)."""
    return ~solid_boxes(boxes)[:, None]


def _sides(boxes: F32) -> F32:
    """Return width, height, width, height of boxes (N, 4) xyxy."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def states_of(poses: Poses, candidates: Candidates | None) -> list[PersonState]:
    """Return the origin of each pose; ids of poses are the rows of their candidates, or -1."""
    if candidates is None:
        return ["detected"] * len(poses)
    return [candidates.states[row] for row in poses.ids.tolist()]
