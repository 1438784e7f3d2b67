"""Refusals in words: a record that did not pass names every figure that refused it, and one that passed names none."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parity.boxes import SCORE_SHIFT, judge_boxes, judge_by_interval
from edge.parity.refusals import find_refusals
from edge.types import Detections
from runtimes.parity_spec import ApParity, BoxesParity, Parity, PxParity, RawParity
from runtimes.spec import Precision

SHARED = {"reference": "r", "passed": False}


def judged(count: int, missed: int, shift: float, precision: Precision) -> BoxesParity:
    """So many boxes in one image, some of them missed, the scores of the others moved."""
    left = 20.0 * np.arange(count, dtype=np.float32)
    boxes = np.stack([left, left * 0, left + 10, left * 0 + 10], axis=1)
    scores, labels = np.full(count, 0.5, np.float32), np.zeros(count, np.int32)
    kept = slice(missed, None)
    got = Detections(boxes[kept], scores[kept] + np.float32(shift), labels[kept])
    strong = {0: Detections(boxes, scores, labels)}
    return judge_boxes(strong, [got], precision, reference="r", samples=1, raw_error=None)


COUNTS = st.integers(1, 500)
SHARES = st.floats(0, 0.2)
SHIFTS = st.sampled_from([0.0, 0.02, -0.02, 0.04, -0.2])
PRECISIONS = st.sampled_from(["fp32", "fp16", "int8"])


@given(COUNTS, SHARES, SHIFTS, PRECISIONS, st.booleans())
def test_boxes_name_what_refused_them(count, share, shift, precision, by_interval) -> None:
    missed = int(share * count)
    parity = judged(count, missed, shift, precision)
    if by_interval:
        parity = judge_by_interval(parity)
    found = find_refusals(parity)
    assert bool(found) is (parity.passed is not True)
    moved = any("mean score shift" in each and f"limit {SCORE_SHIFT}" in each for each in found)
    assert moved is (abs(shift) > SCORE_SHIFT)
    lost = any("boxes matched" in each for each in found)
    if parity.passed is False and not moved:
        assert lost
    if missed == 0 and not by_interval:
        assert not lost
    if parity.passed is None:
        assert "undecided" in found[0]


def test_both_figures_of_a_detector_are_named() -> None:
    found = find_refusals(judged(100, 30, -0.1, "fp32"))
    assert found == [
        "70.0% of 100 boxes matched (limit 99%)",
        "mean score shift -0.1000 (limit 0.03)",
    ]


@pytest.mark.parametrize(
    ("parity", "words"),
    [
        (PxParity(**SHARED, limit=2.0, px_p95=3.5), ["keypoints p95 3.5 px (limit 2 px)"]),
        (PxParity(**SHARED, limit=0.1, px_p95=None), ["keypoints p95 inf px (limit 0.1 px)"]),
        (
            PxParity(**SHARED, limit=2.0, px_p95=0.5, symptoms=("output x is the same for all",)),
            ["output x is the same for all"],
        ),
        (
            PxParity(**SHARED, limit=2.0, px_p95=9.0, symptoms=("a", "b")),
            ["a", "b", "keypoints p95 9 px (limit 2 px)"],
        ),
        (RawParity(**SHARED, limit=1e-3, raw_error=0.5), ["raw error 0.5 (limit 0.001)"]),
        (RawParity(**SHARED, limit=1e-3, raw_error=math.inf), ["raw error inf (limit 0.001)"]),
        (
            RawParity(reference="r", passed=None, decidable=4, keypoints=17),
            ["4/17 keypoints decidable, under half: no limit in pixels can judge"],
        ),
        (
            ApParity(
                **SHARED,
                limit=0.005,
                ap=0.4,
                ap_reference=0.45,
                ap_drop=0.05,
                ap_interval=(0.01, 0.09),
            ),
            ["AP 0.4000, drop 0.0500, 0.0100 to 0.0900 (limit 0.005)"],
        ),
        (
            ApParity(
                reference="r",
                passed=None,
                limit=0.005,
                ap=0.4,
                ap_reference=0.404,
                ap_drop=0.004,
                ap_interval=(-0.01, 0.02),
            ),
            ["AP 0.4000, drop 0.0040, undecided, -0.0100 to 0.0200 (limit 0.005)"],
        ),
        (PxParity(reference="r", passed=True, limit=2.0, px_p95=1.0), []),
        (PxParity(reference="r", passed=None, limit=None, px_p95=1.0), []),
    ],
)
def test_each_basis_names_figure_and_limit(parity: Parity, words: list[str]) -> None:
    assert find_refusals(parity) == words
