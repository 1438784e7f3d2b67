"""Pose NMS by AlphaPose's equations 16 to 19: values worked out by hand, and the search of its constants."""

import math

import numpy as np
import pytest

from edge.nms.parametric import parametric_nms
from edge.nms.parametric_paper import (
    PaperConstants,
    keep_confident,
    paper_nms,
    pose_likeness,
    search_constants,
)
from edge.schema import numbered_schema
from edge.types import Poses

UNIT = PaperConstants(score_width=0.5, distance_width=8.0, weight=2.0, similarity=1.0)


def test_the_likeness_is_the_papers() -> None:
    """A person of 100x200: keypoints match within 5 pixels in x and 10 in y, each a side of a tenth of the box."""
    xy = np.zeros((3, 2, 2), np.float32)
    xy[1] = [(5, 10), (5.1, 0)]  # the first is on the border, the second beyond it
    xy[2] = [(0, 10.1), (2, 2)]
    scores = np.array([[0.5, 0.25], [1.0, 0.5], [0.1, 0.2]], np.float32)
    boxes = np.array([[0, 0, 100, 200]] * 3, np.float32)
    found = pose_likeness(0, np.array([1, 2]), xy, scores, boxes, UNIT)
    first = math.tanh(1) * math.tanh(2) + 2 * (
        math.exp(-125 / 8) + math.exp(-(float(np.float32(5.1)) ** 2) / 8)
    )
    second = math.tanh(0.5) * math.tanh(0.4) + 2 * (math.exp(-(10.1**2) / 8) + math.exp(-8 / 8))
    assert found == pytest.approx([first, second], rel=1e-6)


def people(*offsets: float, side: float = 600.0, confidence: float = 0.9) -> Poses:
    """One person of 17 keypoints, then copies whose keypoints are so many pixels lower and a little less sure."""
    rng = np.random.default_rng(0)
    body = rng.uniform(0.1, 0.9, (17, 2)) * side
    xy = np.stack([body + np.array([0, offset]) for offset in offsets]).astype(np.float32)
    scores = np.stack([np.full(17, confidence - 0.01 * n) for n in range(len(offsets))])
    boxes = np.tile(np.array([0, 0, side, side], np.float32), (len(offsets), 1))
    count = len(offsets)
    return Poses(
        xy,
        scores.astype(np.float32),
        boxes,
        np.ones(count, np.float32),
        np.arange(count, dtype=np.int32),
        numbered_schema(17),
    )


def test_a_redundant_pose_goes_and_the_confident_one_stays_as_it_is() -> None:
    given = people(0.0, 1.0, 300.0)
    found = keep_confident(given)
    assert found.ids.tolist() == [0, 2]
    np.testing.assert_array_equal(found.xy[0], given.xy[0])
    assert keep_confident(given[[1, 0]]).ids.tolist() == [0]  # whatever the order
    assert len(keep_confident(given[:1])) == 1
    assert len(keep_confident(given[:0])) == 0


def test_a_jitter_of_three_percent_of_a_large_person_is_redundant_here_and_not_in_the_code() -> (
    None
):
    given = people(0.0, 0.03 * 600)
    assert keep_confident(given).ids.tolist() == [0]
    assert len(parametric_nms(given.xy, given.scores, given.boxes).picks) == 2


def test_the_threshold_is_eta_over_all_keypoints() -> None:
    given = people(0.0, 0.0)
    args = (given.xy, given.scores, given.boxes)
    (likeness,) = pose_likeness(0, np.array([1]), *args, UNIT) / 17
    at, above = (
        PaperConstants(0.5, 8.0, 2.0, likeness * change) for change in (1 - 1e-9, 1 + 1e-9)
    )
    assert paper_nms(*args, at).tolist() == [0]
    assert paper_nms(*args, above).tolist() == [0, 1]


def test_the_search_finds_a_maximum_two_constants_at_a_time() -> None:
    """Of two constants the product must be right, of the others the ratio."""

    def score(constants: PaperConstants) -> float:
        product = math.log(constants.score_width * constants.distance_width / 0.25)
        ratio = math.log(constants.weight / constants.similarity / 4)
        return -abs(product) - abs(ratio)

    start = PaperConstants(1.0, 1.0, 1.0, 1.0)
    found = search_constants(score, start, factors=(0.5, 1.0, 2.0))
    assert score(start) == pytest.approx(-2 * math.log(4))
    assert score(found) == pytest.approx(0, abs=1e-9)
    assert search_constants(lambda _: 0.0, start) == start
