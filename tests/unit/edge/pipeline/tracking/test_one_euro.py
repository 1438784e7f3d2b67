"""One-Euro filter: as the references compute it, over missing keypoints, re-entry and odd time stamps."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.one_euro import FilterStates, OneEuroParams, OneEuroSmoother, filtered
from edge.schema import load_schema
from edge.types import Poses

FRAME_S = 1 / 30
COCO = load_schema("coco17")


def poses(
    xy: np.ndarray, ids: list[int], scores: np.ndarray | float = 0.9, side: float = 200.0
) -> Poses:
    """People at xy (N, 17, 2), in square boxes of that side."""
    count = len(xy)
    boxes = np.tile(np.array([0, 0, side, side], np.float32), (count, 1))
    return Poses(
        xy.astype(np.float32),
        np.broadcast_to(np.float32(scores), (count, 17)).astype(np.float32),
        boxes,
        np.ones(count, np.float32),
        np.array(ids, np.int32),
        COCO,
    )


def track(count: int, seed: int = 0) -> np.ndarray:
    """Return a person standing still, keypoints with noise of a pixel: (count, 1, 17, 2)."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(20, 180, (1, 17, 2))
    return place + rng.normal(0, 1, (count, 1, 17, 2))


@pytest.mark.parametrize(
    ("case", "min_cutoff", "beta", "fps", "frames"),
    [
        ("fps30", 1.7, 0.3, 30, 1),
        ("strong", 0.004, 0.7, 30, 1),
        ("fps60", 1.0, 0.05, 60, 1),
        ("te3", 1.7, 0.3, 25, 3),
    ],
)
def test_it_is_mmposes_filter(
    oracles, case: str, min_cutoff: float, beta: float, fps: int, frames: int
) -> None:
    # mmpose counts time in frames, and takes the rate as the derivative's cut-off
    params = OneEuroParams(beta, min_cutoff, fps)
    with np.load(oracles("oneeuro.npz")) as data:
        values, expected = data["track"], data[f"{case}/out"]
        assert json.loads(str(data[f"{case}/args"]))["fps"] == fps
    states = FilterStates(values[0], np.zeros_like(values[0]))
    # a missing point is 0 or less there; the filter goes on from its marker -10, so the points that are never missing
    whole = (values > 0).all(axis=0)
    assert whole.mean() > 0.9
    for value, smooth in zip(values[1:], expected, strict=True):
        states = filtered(states, value, np.float64(frames), np.float64(1), params)
        np.testing.assert_allclose(states.values[whole], smooth[whole], rtol=1e-6)


@pytest.mark.parametrize("case", ["a", "b", "c"])
def test_it_is_the_authors_filter_on_time_stamps(oracles, case: str) -> None:
    with np.load(oracles("oneeuro-scalar.npz")) as data:
        values, times, expected = data["x"], data["t"], data[f"casiez_{case}_t"]
        args = json.loads(str(data[f"{case}_args"]))
    params = OneEuroParams(args["beta"], args["mincutoff"], args["dcutoff"])
    states = FilterStates(values[:1], np.zeros(1))
    smooth = [values[0]]
    for value, step_s in zip(values[1:], np.diff(times), strict=True):
        states = filtered(states, value, step_s, np.float64(1), params)
        smooth.append(states.values[0])
    np.testing.assert_allclose(smooth, expected, rtol=1e-9, atol=1e-9)


def run(smoother: OneEuroSmoother, values: np.ndarray, step_s: float = FRAME_S) -> np.ndarray:
    """Return the smoothed keypoints (T, 17, 2) of one person, id 4."""
    return np.stack(
        [smoother.smooth(poses(xy, [4]), index * step_s).xy[0] for index, xy in enumerate(values)]
    )


def test_the_smoother_is_the_filter_a_keypoint() -> None:
    values = track(20) * np.linspace(1, 1.4, 20)[:, None, None, None]
    options = TrackOptions(smooth_params=(0.02, 1.5, 0.8))
    states = FilterStates(values[0, 0], np.zeros((17, 2)))
    expected = [states.values]
    for value in values[1:, 0]:
        states = filtered(
            states, value, np.float64(FRAME_S), np.float64(1), OneEuroParams(0.02, 1.5, 0.8)
        )
        expected.append(states.values)
    # a person of the size whose speeds are in pixels a second
    np.testing.assert_allclose(run(OneEuroSmoother(options), values), expected, atol=1e-3)


def test_people_of_any_size_are_smoothed_alike() -> None:
    values = track(20) * np.linspace(1, 1.4, 20)[:, None, None, None]
    near, far = OneEuroSmoother(TrackOptions()), OneEuroSmoother(TrackOptions())
    for index, xy in enumerate(values):
        one = near.smooth(poses(xy, [0]), index * FRAME_S).xy
        other = far.smooth(poses(xy / 4, [0], side=50.0), index * FRAME_S).xy
        np.testing.assert_allclose(one, other * 4, rtol=1e-4)


def test_rest_is_smoothed_alike_at_any_rate() -> None:
    """A step from 0 to 1 has gone the same way after the same time; the filter is exact in small steps only."""
    step = np.concatenate([np.zeros((1, 1, 17, 2)), np.ones((60, 1, 17, 2))])
    options = TrackOptions(smooth_params=(0.0, 1.0, 1.0))
    slow = run(OneEuroSmoother(options), step[:7], 1 / 30)
    fast = run(OneEuroSmoother(options), step[:13], 1 / 60)
    np.testing.assert_allclose(slow[6], fast[12], atol=0.06)


def test_jitter_of_a_still_person_is_halved() -> None:
    values = track(120)
    smooth = run(OneEuroSmoother(TrackOptions()), values)
    before, after = (np.diff(each, 2, axis=0).std() for each in (values[:, 0], smooth))
    assert after < before / 2


@pytest.mark.parametrize("gone", ["nan", "zero", "elsewhere"])
def test_a_missing_keypoint_leaves_its_filter_as_it_was(gone: str) -> None:
    values = track(30)
    smoother = OneEuroSmoother(TrackOptions())
    for index, xy in enumerate(values):
        scores = np.full((1, 17), 0.9)
        given = xy.copy()
        if 20 <= index < 25:
            scores[0, 5] = 0.0 if gone != "nan" else 0.9
            given[0, 5] = {"nan": np.nan, "zero": 0.0, "elsewhere": 900.0}[gone]
        smooth = smoother.smooth(poses(given, [1], scores), index * FRAME_S)
        if 20 <= index < 25:
            np.testing.assert_array_equal(smooth.xy[0, 5], np.float32(given[0, 5]))
        assert np.isfinite(smooth.xy[0, 6]).all()
        if index not in range(20, 25):
            assert np.abs(smooth.xy - xy).max() < 5  # noise of a pixel, and no jump


def test_filters_start_anew_for_a_new_id_and_after_long_absence() -> None:
    still = np.full((1, 17, 2), 50.0)
    smoother = OneEuroSmoother(TrackOptions(track_max_missing=10))
    smoother.smooth(poses(still, [1]), 0.0)
    smoother.smooth(poses(still, [1]), FRAME_S)
    away = still + 60
    other = smoother.smooth(poses(away, [2]), 2 * FRAME_S)
    np.testing.assert_allclose(other.xy, away)
    soon = smoother.smooth(poses(away, [1]), 11 * FRAME_S)
    assert (soon.xy < away - 1).all()
    late = smoother.smooth(poses(still, [1]), 22.5 * FRAME_S)
    np.testing.assert_allclose(late.xy, still)


def test_people_without_an_id_pass_through_and_nothing_is_changed_in_place() -> None:
    values = track(2)
    smoother = OneEuroSmoother(TrackOptions())
    given = poses(np.concatenate([values[0], values[0]]), [-1, 3])
    before = given.xy.copy()
    smoother.smooth(given, 0.0)
    later = poses(np.concatenate([values[1], values[1]]), [-1, 3])
    smooth = smoother.smooth(later, FRAME_S)
    np.testing.assert_array_equal(smooth.xy[0], later.xy[0])
    assert not np.allclose(smooth.xy[1], later.xy[1])
    np.testing.assert_array_equal(given.xy, before)
    assert replace(smooth, xy=later.xy) == later


def test_nobody_may_be_there() -> None:
    smoother = OneEuroSmoother(TrackOptions())
    assert len(smoother.smooth(Poses.empty(COCO), 0.0)) == 0
    smoother.smooth(poses(track(1)[0], [0]), FRAME_S)
    assert len(smoother.smooth(Poses.empty(COCO), 2 * FRAME_S)) == 0


@pytest.mark.parametrize(
    "times", [[0, 0, 0, 0], [5, 4, 3, 2], [0, np.nan, 0.1, np.inf], [1, 1, 0, 2]]
)
def test_any_time_stamps_give_finite_keypoints(times: list[float]) -> None:
    smoother = OneEuroSmoother(TrackOptions())
    for time_s, xy in zip(times, track(4), strict=True):
        assert np.abs(smoother.smooth(poses(xy, [0]), time_s).xy - xy).max() < 8
