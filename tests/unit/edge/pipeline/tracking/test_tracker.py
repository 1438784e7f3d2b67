"""Ids: stable over motion, crossings, gaps and odd time stamps; never used again."""

from collections.abc import Sequence

import numpy as np
import pytest

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking import Tracker
from edge.schema import load_schema
from edge.types import Poses

COCO = load_schema("coco17")
FPS = 30
# a standing person, 60 wide and 180 high, around its centre
BODY = np.array(
    [
        *[[0, -85], [4, -88], [-4, -88], [9, -85], [-9, -85]],
        *[[20, -60], [-20, -60], [27, -30], [-27, -30], [30, 0], [-30, 0]],
        *[[12, 0], [-12, 0], [13, 45], [-13, 45], [14, 90], [-14, 90]],
    ],
    np.float32,
)

HALF = np.array([30, 90], np.float32)


def people(centres: Sequence[Sequence[float]], scores: float | np.ndarray = 0.9) -> Poses:
    """Standing people at centres (N, 2), boxes around them."""
    middle = np.asarray(centres, np.float32).reshape(-1, 2)
    boxes = np.concatenate([middle - HALF, middle + HALF], axis=1)
    count = len(middle)
    return Poses(
        middle[:, None] + BODY,
        np.broadcast_to(np.float32(scores), (count, 17)).astype(np.float32),
        boxes.astype(np.float32),
        np.full(count, 0.9, np.float32),
        np.full(count, -1, np.int32),
        COCO,
    )


def tracker(**options: float) -> Tracker:
    return Tracker(TrackOptions(**options), COCO)


def two_crossing(time_s: float) -> np.ndarray:
    """Two people who walk towards each other at 120 pixels a second and pass at 2 s, 30 pixels apart in y."""
    return np.array([[60 + 120 * time_s, 200], [540 - 120 * time_s, 230]])


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_ids_stay_over_a_crossing_at_any_rate(fps: int) -> None:
    identity = tracker()
    for index in range(4 * fps):
        ids = identity.update(people(two_crossing(index / fps)), index / fps)
        assert ids.tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_ids_stay_where_half_of_the_frames_are_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    identity = tracker()
    for index in range(120):
        if index and rng.random() < 0.5:
            continue
        centres = two_crossing(index / FPS) + rng.normal(0, 1, (2, 2))
        order = rng.permutation(2) if index else np.arange(2)  # rows are no identity
        assert identity.update(people(centres[order]), index / FPS).tolist() == order.tolist()


def test_who_is_hidden_at_the_crossing_gets_the_id_back() -> None:
    identity = tracker(track_max_missing=15)
    for index in range(120):
        centres = two_crossing(index / FPS)
        hidden = 55 <= index < 65
        ids = identity.update(people(centres[:1] if hidden else centres), index / FPS)
        assert ids.tolist() == ([0] if hidden else [0, 1])


def test_lost_tracks_are_predicted_along_their_way_and_kept_by_time() -> None:
    identity = tracker()
    for index in range(20):
        identity.update(people([[100 + 4 * index, 200]]), index / FPS)
    for late in (1, 5, 10):
        expected = identity.predict((19 + late) / FPS)
        assert expected.ids.tolist() == [0]
        centre = (expected.boxes[0, 0] + expected.boxes[0, 2]) / 2
        assert centre == pytest.approx(100 + 4 * (19 + late), abs=4)
    assert len(identity.predict(30 / FPS)) == 0
    identity.update(people([]), 20 / FPS)
    missing = identity.predict(21 / FPS)
    assert missing.missing_s == pytest.approx([1 / FPS])
    assert identity.update(people([[100 + 4 * 25, 200]]), 25 / FPS).tolist() == [0]
    assert identity.predict(26 / FPS).missing_s.tolist() == [0]


def test_after_long_absence_the_id_is_new_and_none_is_used_again() -> None:
    identity = tracker()
    assert identity.update(people([[100, 200], [400, 200]]), 0.0).tolist() == [0, 1]
    identity.update(people([[100, 200]]), 1 / FPS)
    for index in range(2, 14):
        identity.update(people([[100, 200]]), index / FPS)
    assert identity.update(people([[100, 200], [400, 200]]), 14 / FPS).tolist() == [0, 2]
    identity.update(people([]), 15 / FPS)
    assert identity.update(people([[100, 200], [400, 200]]), 9.0).tolist() == [3, 4]


def test_a_slow_source_keeps_lost_people_for_as_many_frames() -> None:
    identity = tracker(track_max_missing=3)
    for index in range(8):
        identity.update(people([[100, 200]]), index * 1.0)
    identity.update(people([]), 8.0)
    assert identity.update(people([[100, 200]]), 10.0).tolist() == [0]
    identity.update(people([]), 11.0)
    assert identity.update(people([[100, 200]]), 14.0).tolist() == [1]


def test_an_entrant_is_reported_at_once_beside_others() -> None:
    identity = tracker()
    identity.update(people([[100, 200], [300, 200]]), 0.0)
    ids = identity.update(people([[301, 200], [500, 200], [101, 200]]), 1 / FPS)
    assert ids.tolist() == [1, 2, 0]


def test_another_person_elsewhere_does_not_get_the_id() -> None:
    identity = tracker()
    identity.update(people([[100, 200]]), 0.0)
    assert identity.update(people([[500, 200]]), 1 / FPS).tolist() == [1]


def test_a_pose_without_confident_keypoints_continues_a_track_but_starts_none() -> None:
    identity = tracker()
    assert identity.update(people([[100, 200]], 0.1), 0.0).tolist() == [-1]
    assert identity.update(people([[100, 200]]), 1 / FPS).tolist() == [0]
    assert identity.update(people([[102, 200], [400, 200]], 0.1), 2 / FPS).tolist() == [0, -1]


def test_sixty_people_and_none() -> None:
    identity = tracker()
    centres = np.stack(np.meshgrid(np.arange(10) * 70 + 50, np.arange(6) * 200 + 100), axis=-1)
    centres = centres.reshape(-1, 2).astype(float)
    rng = np.random.default_rng(0)
    for index in range(8):
        assert identity.update(people(centres), index / FPS).tolist() == list(range(60))
        centres += rng.normal(0, 4, centres.shape)
    assert identity.update(people([]), 8 / FPS).tolist() == []
    assert identity.update(people(centres), 9 / FPS).tolist() == list(range(60))


@pytest.mark.parametrize("step_s", [1.8e9, 1e18, 1e150, 1e300])
def test_a_clock_that_is_set_ends_tracks_and_breaks_nothing(step_s: float) -> None:
    identity = tracker()
    times = [0.0, 0.1, 0.2, step_s, step_s * (1 + 1e-9), step_s * 2]
    ids = [identity.update(people([[100, 200]]), time_s).tolist() for time_s in times]
    assert ids[:4] == [[0], [0], [0], [1]]
    assert np.isfinite(identity.predict(times[-1]).boxes).all()


@pytest.mark.parametrize(
    "times",
    [
        [0.0] * 40,
        [5 - index / 10 for index in range(40)],
        [0.0, np.nan, 0.1, np.inf, -np.inf] * 8,
    ],
)
def test_time_stamps_that_do_not_advance_are_counted_and_ids_stay(times: list[float]) -> None:
    identity = tracker()
    for index, time_s in enumerate(times[:20]):
        assert identity.update(people([[100 + index, 200]]), time_s).tolist() == [0]
        assert np.isfinite(identity.predict(time_s).boxes).all()
    assert identity.irregular > 0
    for time_s in times[20:]:  # tracks age on a source without time, too
        identity.update(people([]), time_s)
    assert identity.update(people([[120, 200]]), times[-1]).tolist() == [1]


def test_boxes_and_keypoints_that_are_not_finite_are_no_track() -> None:
    identity = tracker()
    broken = people([[100, 200], [300, 200]])
    broken.xy[0] = np.nan
    broken.boxes[0] = np.nan
    assert identity.update(broken, 0.0).tolist() == [-1, 0]
    broken.boxes[0] = (50, 50, 50, 50)
    assert identity.update(broken, 1 / FPS).tolist() == [-1, 0]


def test_one_stray_keypoint_does_not_move_the_track() -> None:
    identity = tracker()
    identity.update(people([[100, 200]]), 0.0)
    stray, scores = people([[101, 200]]), np.full((1, 17), 0.9, np.float32)
    scores[0, 9] = 0.05
    stray.scores[:] = scores
    stray.xy[0, 9] = (600, 20)
    assert identity.update(stray, 1 / FPS).tolist() == [0]
    box = identity.predict(2 / FPS).boxes[0]
    assert box[2] - box[0] < 90


def test_a_pose_from_a_tracks_own_box_continues_it_or_none() -> None:
    identity = tracker()
    identity.update(people([[100, 200], [400, 200]]), 0.0)
    jump = people([[100, 200], [700, 200], [900, 200]])
    own, may_start = np.array([0, 1, 0], np.int32), np.array([True, False, False])
    ids = identity.update(jump, 1 / FPS, own=own, may_start=may_start)
    assert ids.tolist() == [0, 1, -1]


def test_two_tracks_of_one_person_continue_as_the_older() -> None:
    identity = tracker()
    identity.update(people([[100, 200], [400, 200]]), 0.0)
    identity.merge(0, 1)
    assert identity.ids.tolist() == [0]
    assert identity.update(people([[400, 200], [100, 200]]), 1 / FPS).tolist() == [0, 2]


def test_what_is_forgotten_comes_back_with_a_new_id() -> None:
    identity = tracker()
    identity.update(people([[100, 200]]), 0.0)
    identity.forget()
    assert len(identity.predict(1 / FPS)) == 0
    assert identity.update(people([[100, 200]]), 1 / FPS).tolist() == [1]
