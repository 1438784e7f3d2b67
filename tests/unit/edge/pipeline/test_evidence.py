"""Evidence for a detection, without models: the budget, and motion that the detector does not explain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pipeline.evidence import Evidence, StaleMotion, TokenBucket
from edge.pipeline.options import TrackOptions
from edge.schema import load_schema
from edge.types import Frame, Poses

RATE, BURST, SAVED = 0.28, 6, 20  # documented in docs/tracking.md
NOBODY = Poses.empty(load_schema("coco17"))
NO_BOXES = np.zeros((0, 4), np.float32)


@given(st.lists(st.booleans(), max_size=200))
def test_a_token_bucket_holds_its_rate_and_its_burst(wanted) -> None:
    bucket, taken = TokenBucket(), 0
    for number, want in enumerate(wanted, 1):
        bucket.fill(1)
        if want and bucket.allows:
            bucket.take()
            taken += 1
        assert taken <= BURST + RATE * number


def test_stale_motion_hides_its_own_places_for_a_while() -> None:
    left, both = np.zeros((2, 4), np.bool_), np.ones((2, 4), np.bool_)
    left[:, :2] = True
    stale = StaleMotion()
    stale.add(left)
    assert (stale.beyond(both) == ~left).all()
    stale.age(1.0)
    assert not stale.beyond(left).any()
    stale.age(1.5)
    assert (stale.beyond(both) == both).all()


def calls(images, options: TrackOptions) -> list[int]:
    evidence, found = Evidence(options), []
    for number, image in enumerate(images):
        if evidence.wants(Frame(image, number, number / 30)) is not None:
            found.append(number)
        evidence.settle(NOBODY, NO_BOXES, lost=False, new=False)
    return found


def grey(first: int, last: int, level: int = 200) -> np.ndarray:
    """Return a textured scene with a bright block from column `first` to `last`."""
    texture = np.random.default_rng(0).integers(0, 120, (15, 20), dtype=np.uint8)
    image = np.repeat(texture.repeat(16, axis=0).repeat(16, axis=1)[..., None], 3, axis=2)
    image[80:200, first:last] = level
    return image


def test_an_entrant_is_looked_for_on_every_frame_while_it_walks_in() -> None:
    images = [grey(0, 0)] * 10 + [grey(0, 24 * n) for n in range(1, 5)] + [grey(0, 96)] * 3
    assert calls(images, TrackOptions(det_interval=1000)) == [0, 10, 11, 12, 13]


def test_what_moves_at_one_place_is_looked_at_again_after_two_seconds() -> None:
    """It appears and vanishes on every second frame for four seconds; each is looked at."""
    images = [grey(100, 140, 200 if number % 2 else 60) for number in range(120)]
    found = calls(images, TrackOptions(det_interval=1000))
    assert found[:2] == [0, 1]
    assert len(found) <= 5
    assert all(number <= 2 or number > 2 * 30 for number in found)


def test_flicker_keeps_to_the_budget() -> None:
    images = [np.full((240, 320, 3), 40 + 80 * (n % 2), np.uint8) for n in range(200)]
    assert len(calls(images, TrackOptions(det_interval=1000))) <= BURST + RATE * 200 + 1


def test_an_empty_scene_is_looked_at_less_often_and_saves_detections_for_a_crowd() -> None:
    options = TrackOptions(det_interval=5, empty_det_interval=10)
    assert calls([grey(0, 0)] * 201, options) == list(range(0, 201, 10))
    flicker = [np.full((240, 320, 3), 40 + 80 * (n % 2), np.uint8) for n in range(40)]
    found = calls([flicker[0]] * 202 + flicker[1:], options)
    assert found[21:41] == list(range(202, 222))
    assert len(found) - 21 <= SAVED + RATE * 39 + 1


def test_an_empty_scene_is_looked_at_every_det_interval_where_that_is_longer() -> None:
    options = TrackOptions(det_interval=25, empty_det_interval=10)
    assert calls([grey(0, 0)] * 60, options) == [0, 25, 50]


@pytest.mark.parametrize("wh", [(5000, 1), (5000, 7), (1, 5000), (2, 3), (1, 1)])
def test_frames_of_any_shape_are_looked_at(wh) -> None:
    image = np.zeros((wh[1], wh[0], 3), np.uint8)
    assert calls([image] * 3, TrackOptions())[0] == 0


def test_people_who_cross_are_detected_every_third_frame_as_long_as_the_budget_allows() -> None:
    def found(right: float) -> list[int]:
        boxes = np.array([[20, 20, 80, 200], [right, 20, right + 60, 200]], np.float32)
        keypoints = np.zeros((2, 17, 2), np.float32), np.ones((2, 17), np.float32)
        ids = np.arange(2, dtype=np.int32)
        people = Poses(*keypoints, boxes, np.ones(2, np.float32), ids, NOBODY.schema)
        evidence, found = Evidence(TrackOptions(det_interval=5)), []
        for number in range(100):
            if evidence.wants(Frame(grey(0, 0), number, number / 30)) is not None:
                found.append(number)
            evidence.settle(people, boxes, lost=False, new=False)
        return found

    assert found(right=80) == list(range(0, 100, 5))
    assert found(right=60)[:15] == list(range(0, 45, 3))
    assert len(found(right=60)) <= BURST + RATE * 100
