"""Box filter: a textbook Kalman filter at one frame a step, and steps that add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.box_filter import (
    BoxStates,
    correct,
    extrapolate,
    squared_distances,
    start,
)

OPTIONS = TrackOptions()
FRAME_S = 1 / 30


def some_states(seed: int = 0) -> BoxStates:
    """Tracks that have moved and been seen for a while."""
    rng = np.random.default_rng(seed)
    boxes = np.array([[10, 20, 60, 160], [300, 50, 420, 330]], np.float32)
    states = start(boxes, OPTIONS)
    for _ in range(6):
        boxes = boxes + rng.normal(3, 2, (2, 1)).astype(np.float32)
        states = correct(extrapolate(states, FRAME_S, OPTIONS), boxes, OPTIONS)
    return states


def fields(states: BoxStates) -> list[np.ndarray]:
    return [states.centre_wh, states.velocity, states.covariance, states.seen_wh]


@given(st.floats(1e-3, 2), st.integers(2, 5))
def test_several_steps_equal_one_of_their_sum(step_s: float, parts: int) -> None:
    states = some_states()
    whole = extrapolate(states, step_s, OPTIONS)
    for _ in range(parts):
        states = extrapolate(states, step_s / parts, OPTIONS)
    for one, other in zip(fields(states), fields(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_it_is_the_textbook_filter_at_one_frame_a_step() -> None:
    box = np.array([[100, 50, 180, 250]], np.float32)
    size = np.sqrt(80 * 200)
    position, velocity = size / 20, size / 160
    identity, zero = np.eye(4), np.zeros((4, 4))
    mean = np.array([140, 150, 80, 200, 0, 0, 0, 0.0])
    covariance = np.diag([(2 * position) ** 2] * 4 + [(10 * velocity) ** 2] * 4)
    transition = np.block([[identity, identity], [zero, identity]])
    # white noise of position and of velocity, integrated over one frame
    noise = np.block(
        [
            [(position**2 + velocity**2 / 3) * identity, velocity**2 / 2 * identity],
            [velocity**2 / 2 * identity, velocity**2 * identity],
        ]
    )
    observe = np.block([identity, zero])
    states = start(box, OPTIONS)
    for shift in (4, 9, 12, 18, 22):
        mean, covariance = transition @ mean, transition @ covariance @ transition.T + noise
        residual = np.array([140 + shift, 150, 80, 200]) - observe @ mean
        innovation = observe @ covariance @ observe.T + position**2 * identity
        gain = covariance @ observe.T @ np.linalg.inv(innovation)
        distance = residual[:2] @ np.linalg.inv(innovation)[:2, :2] @ residual[:2]
        mean, covariance = mean + gain @ residual, covariance - gain @ observe @ covariance
        moved = box + np.array([[shift, 0, shift, 0]], np.float32)
        states = extrapolate(states, FRAME_S, OPTIONS)
        assert squared_distances(states, moved, OPTIONS)[0, 0] == pytest.approx(distance)
        states = correct(states, moved, OPTIONS)
        np.testing.assert_allclose(states.centre_wh[0], mean[:4])
        np.testing.assert_allclose(states.velocity[0], mean[4:], atol=1e-12)
        expected = [covariance[0, 0], covariance[0, 4], covariance[4, 4]]
        np.testing.assert_allclose(states.covariance[0], expected)


@pytest.mark.parametrize("step_s", [0.0, -1.0])
def test_a_step_that_is_not_positive_changes_nothing(step_s: float) -> None:
    states = some_states()
    for one, other in zip(
        fields(states), fields(extrapolate(states, step_s, OPTIONS)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_box_that_moves_evenly_is_expected_where_it_will_be() -> None:
    box = np.array([[0, 0, 50, 150]], np.float32)
    step = np.array([[6, 0, 6, 0]], np.float32)
    states = start(box, OPTIONS)
    for index in range(1, 40):
        states = extrapolate(states, 2 * FRAME_S, OPTIONS)
        states = correct(states, box + index * step, OPTIONS)
    later = extrapolate(states, 10 * FRAME_S, OPTIONS).boxes()
    np.testing.assert_allclose(later, box + 44 * step, atol=0.5)


def test_predicted_sizes_stay_within_twice_the_last_one() -> None:
    states = start(np.array([[0, 0, 50, 100]], np.float32), OPTIONS)
    growing = BoxStates(
        states.centre_wh, np.array([[0, 0, 90, -90.0]]), states.covariance, states.seen_wh
    )
    box = extrapolate(growing, 1.0, OPTIONS).boxes()[0]
    np.testing.assert_allclose(box[2:] - box[:2], [100, 50])
