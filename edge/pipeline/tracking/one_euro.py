"""One-Euro filter of keypoints on time stamps: strong smoothing at rest, little lag in motion (Casiez, CHI 2012)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.affinity import visible
from edge.pipeline.tracking.clock import Clock
from edge.types import F32, F64, I32, Floats, Mask, Poses

REFERENCE_PX = 200.0
"""Size of the person for whom beta is in Hz for each pixel a second; of others speeds are scaled to that size."""


@dataclass(frozen=True, slots=True)
class OneEuroParams:
    """Cut-offs in Hz: at rest `fc_min`, `beta` more for each unit of speed; of the speed itself `fc_derivative`."""

    beta: float
    fc_min: float
    fc_derivative: float


@dataclass(frozen=True, slots=True)
class FilterStates:
    """Last outputs of any number of filters: values float64 (...), and their speeds in units a second."""

    values: F64
    speeds: F64

    def __getitem__(self, rows: Any) -> "FilterStates":
        return FilterStates(self.values[rows], self.speeds[rows])


def filtered(
    states: FilterStates, values: Floats, step_s: Floats, scales: Floats, params: OneEuroParams
) -> FilterStates:
    """Return the states after new values, `step_s` seconds after the last ones.

    step_s, scales: broadcast to values. scales: what a unit of speed is measured in; 1 gives the filter of the paper.
    """
    alpha = _share(step_s, params.fc_derivative)
    speeds = states.speeds + alpha * ((values - states.values) / step_s - states.speeds)
    cutoff = params.fc_min + params.beta * (np.abs(speeds) / scales)
    smooth = states.values + _share(step_s, cutoff) * (values - states.values)
    return FilterStates(smooth, speeds)


def _share(step_s: Floats, cutoff: Floats | float) -> F64:
    """Return the share of a new value in the output of a low-pass filter."""
    rate = 2 * np.pi * cutoff * step_s
    share: F64 = rate / (1 + rate)
    return share


class OneEuroSmoother:
    """Smoothed keypoints of one source, frame after frame, by the ids of its people.

    Speeds are taken relative to the person's size, so that near and far people are smoothed alike. A keypoint that is
    missing (below `pose_kpt_thr`, or not finite) passes through unchanged and its filter waits: the next value is
    filtered over the time since the last one. Filters start anew, without smoothing, for a new id and where a keypoint
    was missing for longer than `track_max_missing` frames take. People without an id pass through.
    """

    def __init__(self, options: TrackOptions) -> None:
        self._options = options
        self._params = OneEuroParams(*options.smooth_params)
        self._clock = Clock()
        self._ids: I32 = np.zeros(0, np.int32)
        self._states = FilterStates(np.zeros((0, 0, 2)), np.zeros((0, 0, 2)))
        self._missing_s: F64 = np.zeros((0, 0))

    def smooth(self, poses: Poses, time_s: float) -> Poses:
        """Return the people of the frame of this time with smoothed keypoints; boxes and scores stay."""
        limit_s = self._clock.limit_s(self._options.track_max_missing, time_s) * (1 + 1e-6)
        self._missing_s = self._missing_s + self._clock.advance(time_s)
        rows = np.flatnonzero(poses.ids >= 0)
        if not len(rows):
            return poses
        people = poses if len(rows) == len(poses) else poses[rows]
        seen = visible(people, self._options)
        states, missing_s = self._of(people)
        known = seen & (missing_s <= limit_s)
        scales = np.maximum(_sizes(people.boxes) / REFERENCE_PX, 1e-3)
        each, known_each = _twice(seen), _twice(known)
        values = np.where(each, people.xy.astype(np.float64), states.values)
        steps = _twice(np.where(known, missing_s, 1.0))
        fresh = filtered(states, values, steps, scales[:, None, None], self._params)
        smooth = np.where(known_each, fresh.values, values)
        speeds = np.where(known_each, fresh.speeds, np.where(each, 0, states.speeds))
        self._remember(
            people.ids, FilterStates(smooth, speeds), np.where(seen, 0, missing_s), limit_s
        )
        shown = np.where(each, smooth, people.xy).astype(np.float32)
        if len(rows) == len(poses):
            return replace(poses, xy=shown)
        xy = poses.xy.copy()
        xy[rows] = shown
        return replace(poses, xy=xy)

    def _of(self, people: Poses) -> tuple[FilterStates, F64]:
        """Return the states of people, and the seconds since each keypoint was seen, (N, K); infinite for new ones."""
        if np.array_equal(people.ids, self._ids):  # the usual case
            return self._states, self._missing_s
        places = {track: row for row, track in enumerate(self._ids.tolist())}
        pairs = [
            (row, places[each]) for row, each in enumerate(people.ids.tolist()) if each in places
        ]
        values, speeds = np.zeros(people.xy.shape), np.zeros(people.xy.shape)
        missing_s = np.full(people.scores.shape, np.inf)
        if pairs:
            here, there = np.array(pairs).T
            values[here], speeds[here] = self._states.values[there], self._states.speeds[there]
            missing_s[here] = self._missing_s[there]
        return FilterStates(values, speeds), missing_s

    def _remember(self, ids: I32, states: FilterStates, missing_s: F64, limit_s: float) -> None:
        """Keep these states, and those of people who are missing but may return."""
        here = set(ids.tolist())
        away = [row for row, track in enumerate(self._ids.tolist()) if track not in here]
        kept = [row for row in away if self._missing_s[row].min() <= limit_s]
        if not kept:
            self._ids, self._states, self._missing_s = ids, states, missing_s
            return
        old = self._states[kept]
        self._ids = np.concatenate([ids, self._ids[kept]])
        self._states = FilterStates(
            np.concatenate([states.values, old.values]), np.concatenate([states.speeds, old.speeds])
        )
        self._missing_s = np.concatenate([missing_s, self._missing_s[kept]])


def _twice(values: Mask | F64) -> Any:
    """Return values (N, K) for x and y, (N, K, 2)."""
    return np.repeat(values, 2, axis=1).reshape(*values.shape, 2)


def _sizes(boxes: F32) -> F64:
    """Return the geometric mean of width and height, float64 (N,); 0 for a box without area."""
    sides = np.maximum(np.nan_to_num((boxes[:, 2:] - boxes[:, :2]).astype(np.float64)), 0)
    sizes: F64 = np.sqrt(sides.prod(axis=1))
    return sizes
