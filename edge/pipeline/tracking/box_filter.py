"""Kalman filter of boxes with constant velocity over any time step.

Centre and size are filtered as in mmdeploy's pose tracker: standard deviations are shares of the box size, which is the
geometric mean of width and height. The four coordinates share their variances and do not mix, so a track needs one
2 x 2 covariance. Process noise is white in continuous time: a step of 2 dt gives the same as two of dt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.clock import FRAME_S
from edge.types import F32, F64, Floats

SIZE_CHANGE = 2.0
"""A predicted box is at most so many times larger or smaller than the last one seen: velocity of size is uncertain."""
_START_POSITION, _START_VELOCITY = (
    2.0,
    10.0,
)  # standard deviations of a new track over those of a frame (DeepSORT)


@dataclass(frozen=True, slots=True)
class BoxStates:
    """Filtered boxes of T tracks, float64.

    centre_wh: (T, 4) in pixels; velocity: (T, 4) in pixels a frame of 1/30 s; covariance: (T, 3), of each coordinate:
    variance of position, covariance, variance of velocity; seen_wh: (T, 2), the size when last corrected.
    """

    centre_wh: F64
    velocity: F64
    covariance: F64
    seen_wh: F64

    def __len__(self) -> int:
        return len(self.centre_wh)

    def __getitem__(self, rows: Any) -> "BoxStates":
        return BoxStates(
            self.centre_wh[rows], self.velocity[rows], self.covariance[rows], self.seen_wh[rows]
        )

    def boxes(self) -> F32:
        """Return the boxes, float32 (T, 4) xyxy."""
        sizes = np.clip(
            self.centre_wh[:, 2:], self.seen_wh / SIZE_CHANGE, self.seen_wh * SIZE_CHANGE
        )
        low = self.centre_wh[:, :2] - sizes / 2
        return np.concatenate([low, low + sizes], axis=1).astype(np.float32)


def start(boxes: Floats, options: TrackOptions) -> BoxStates:
    """Return the states of new tracks at boxes (T, 4) xyxy, with unknown velocity."""
    measured = _measured(boxes)
    squared = _squared_size(measured[:, 2:])
    covariance = np.zeros((len(boxes), 3))
    covariance[:, 0] = squared * (_START_POSITION * options.std_weight_position) ** 2
    covariance[:, 2] = squared * (_START_VELOCITY * options.std_weight_velocity) ** 2
    return BoxStates(measured, np.zeros_like(measured), covariance, measured[:, 2:].copy())


def extrapolate(states: BoxStates, step_s: float, options: TrackOptions) -> BoxStates:
    """Return the states `step_s` seconds later; a step that is not positive changes nothing."""
    dt = max(step_s, 0.0) / FRAME_S
    squared = _squared_size(states.seen_wh)
    noise = squared * options.std_weight_position**2
    velocity_noise = squared * options.std_weight_velocity**2
    position, mixed, velocity = states.covariance.T
    covariance = np.stack(
        [
            position + 2 * dt * mixed + dt**2 * velocity + dt * noise + dt**3 / 3 * velocity_noise,
            mixed + dt * velocity + dt**2 / 2 * velocity_noise,
            velocity + dt * velocity_noise,
        ],
        axis=1,
    )
    moved = states.centre_wh + dt * states.velocity
    return BoxStates(moved, states.velocity, covariance, states.seen_wh)


def correct(states: BoxStates, boxes: Floats, options: TrackOptions) -> BoxStates:
    """Return the states after each saw its box, boxes (T, 4) xyxy."""
    measured = _measured(boxes)
    position, mixed, velocity = states.covariance.T
    innovation = position + _measurement_noise(states, options)
    gain, velocity_gain = position / innovation, mixed / innovation
    residual = measured - states.centre_wh
    covariance = np.stack(
        [(1 - gain) * position, (1 - gain) * mixed, velocity - velocity_gain * mixed], axis=1
    )
    return BoxStates(
        states.centre_wh + gain[:, None] * residual,
        states.velocity + velocity_gain[:, None] * residual,
        covariance,
        measured[:, 2:],
    )


def squared_distances(states: BoxStates, boxes: Floats, options: TrackOptions) -> F64:
    """Return the squared Mahalanobis distances of box centres from the tracks', (N, T); boxes (N, 4) xyxy.

    Sizes do not count: those of boxes around keypoints change with the pose (as in mmdeploy).
    """
    innovation = states.covariance[:, 0] + _measurement_noise(states, options)
    offsets = _measured(boxes)[:, None, :2] - states.centre_wh[:, :2]
    distances: F64 = np.square(offsets).sum(axis=2) / innovation
    return distances


def join(parts: Sequence[BoxStates]) -> BoxStates:
    """Return the states of all."""
    return BoxStates(
        np.concatenate([part.centre_wh for part in parts]),
        np.concatenate([part.velocity for part in parts]),
        np.concatenate([part.covariance for part in parts]),
        np.concatenate([part.seen_wh for part in parts]),
    )


def _measurement_noise(states: BoxStates, options: TrackOptions) -> F64:
    noise: F64 = _squared_size(states.seen_wh) * options.std_weight_position**2
    return noise


def _measured(boxes: Floats) -> F64:
    """Return boxes xyxy as centre and size; sides are at least a pixel."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, np.maximum(high - low, 1.0)], axis=1)


def _squared_size(sizes: F64) -> F64:
    squared: F64 = sizes[:, 0] * sizes[:, 1]
    return squared
