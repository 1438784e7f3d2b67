"""Sanity checks: broken outputs are named; what the reference does too is not."""

import numpy as np
import pytest

from edge.parity.sanity import find_symptoms
from edge.types import Detections, Keypoints

RNG = np.random.default_rng(4)
MAPS = RNG.normal(size=(4, 3, 8, 8)).astype(np.float32)


def people(score: float) -> list[Keypoints]:
    return [
        Keypoints(np.zeros((1, 3, 2), np.float32), np.full((1, 3), score, np.float32))
        for _ in range(4)
    ]


def found(score: float | None) -> list[Detections]:
    count = 0 if score is None else 2
    return [
        Detections(
            np.zeros((count, 4), np.float32),
            np.full(count, score or 0, np.float32),
            np.zeros(count, np.int32),
        )
        for _ in range(4)
    ]


def symptoms_of(got: np.ndarray, before: list, after: list) -> tuple[str, ...]:
    return find_symptoms({"heatmap": MAPS}, {"heatmap": got}, before, after)


def test_the_same_outputs_have_no_symptoms() -> None:
    assert symptoms_of(MAPS, people(0.8), people(0.8)) == ()
    assert symptoms_of(MAPS, people(0.8), people(0.3)) == ()  # weaker, not dead


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite(value) -> None:
    broken = MAPS.copy()
    broken[0] = value
    assert symptoms_of(broken, people(0.8), people(0.8)) == (
        "output heatmap is not finite in 25% of its values",
    )


def test_constant_outputs() -> None:
    constant = np.broadcast_to(MAPS[:1], MAPS.shape)
    assert symptoms_of(constant, people(0.8), people(0.8)) == (
        "output heatmap is the same for every image",
    )
    assert find_symptoms({"a": constant}, {"a": constant}, [], []) == ()  # it always was
    one = MAPS[:1]
    assert (
        find_symptoms({"a": one}, {"a": np.zeros_like(one)}, [], []) == ()
    )  # one image cannot say


@pytest.mark.parametrize("make", [people, found])
def test_collapsed_confidences(make) -> None:
    said = symptoms_of(MAPS, make(0.8), make(0.1))
    assert said == ("confidences collapsed: 0.1 on average, 0.8 before",)
    assert symptoms_of(MAPS, make(0.0), make(0.0)) == ()


def test_a_detector_that_no_longer_finds_anything() -> None:
    assert symptoms_of(MAPS, found(0.8), found(None)) == (
        "confidences collapsed: 0 on average, 0.8 before",
    )
