"""Verdicts on detectors: boxes that overlap by construction, counts, intervals and score shifts."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parity.boxes import judge_by_interval, wilson_interval
from edge.parity.compare import compare
from edge.parity.reference import make_reference
from runtimes.base import Outputs
from runtimes.codec_spec import BoxesCodec, RTMDetCodec
from runtimes.parity_spec import BoxesParity, Parity
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Precision,
    TensorSpec,
)

BOXES = ModelSpec(
    model="boxes",
    task="detect",
    inputs=(),
    outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")),
    image=ImageSpec(wh=(1000, 1000)),
    crop=CropSpec(kind="letterbox"),
    codec=BoxesCodec(),
)


def parity(
    reference: Outputs, outputs: Outputs, precision: Precision, spec: ModelSpec = BOXES
) -> Parity:
    made = make_reference(np.zeros((1, 8, 8, 3), np.uint8), reference, spec, "mathematics")
    return compare(made, outputs, spec, precision)


def grid(count: int, shift: float = 0.0, score: float = 0.9) -> Outputs:
    """Boxes 100 wide and high that do not touch, moved right by `shift`, on one image."""
    x, y = np.divmod(np.arange(count), 10)
    corners = np.stack([110.0 * x + shift, 110.0 * y], axis=1)
    dets = np.concatenate([corners, corners + 100, np.full((count, 1), score)], axis=1)
    return {"dets": dets[None].astype(np.float32), "labels": np.zeros((1, count), np.int64)}


@pytest.mark.parametrize(
    ("precision", "missing", "passed"),
    [("fp32", 1, True), ("fp16", 2, False), ("int8", 5, True), ("int8", 6, False)],
)
def test_the_share_of_matched_boxes(precision, missing, passed) -> None:
    verdict = parity(grid(100), grid(100 - missing), precision)
    assert (verdict.basis, verdict.boxes) == ("boxes", 100)
    assert verdict.matched == pytest.approx(1 - missing / 100)
    assert verdict.passed is passed


@pytest.mark.parametrize(
    ("precision", "shift", "matched"),
    # two squares of side 100, one moved by s, overlap by (100 - s) / (100 + s)
    [("fp16", 5.0, 1.0), ("fp16", 5.5, 0.0), ("int8", 14.0, 1.0), ("int8", 14.5, 0.0)],
)
def test_a_box_matches_by_its_overlap(precision, shift, matched) -> None:
    assert parity(grid(50), grid(50, shift), precision).matched == matched


@pytest.mark.parametrize(
    ("score", "passed"), [(0.9, True), (0.88, True), (0.86, False), (0.94, False)]
)
def test_scores_may_not_move(score, passed) -> None:
    """Boxes in place with other scores: thresholds were chosen for the reference's."""
    verdict = parity(grid(50), grid(50, score=score), "int8")
    assert verdict.matched == 1.0
    assert verdict.score_shift == pytest.approx(score - 0.9, abs=1e-6)
    assert verdict.passed is passed


def test_weak_reference_boxes_need_no_match() -> None:
    reference = grid(30)
    reference["dets"][0, 10:, 4] = 0.29
    verdict = parity(reference, grid(10), "fp32")
    assert (verdict.boxes, verdict.matched) == (10, 1.0)


def test_a_box_of_another_class_does_not_count() -> None:
    outputs = grid(20)
    outputs["labels"][0, :5] = 1
    assert parity(grid(20), outputs, "fp32").matched == 0.75


def test_a_box_matches_at_most_once() -> None:
    twice = {name: np.concatenate([v, v], axis=1) for name, v in grid(10).items()}
    assert parity(twice, grid(10), "fp32").matched == 0.5


def test_boxes_of_a_graph_with_nms_have_no_raw_error() -> None:
    verdict = parity(grid(10), grid(12), "fp32")
    assert (verdict.passed, verdict.raw_error) == (True, None)
    nothing = parity(grid(10, score=0.1), grid(10, score=0.1), "fp32")
    assert (nothing.basis, nothing.passed) == ("raw", False)


def test_a_detector_that_finds_nothing_is_judged_raw_and_never_on_what_is_not_finite() -> None:
    spec = msgspec.structs.replace(
        BOXES,
        outputs=(TensorSpec(name="cls"), TensorSpec(name="reg")),
        codec=RTMDetCodec(strides=(32,)),
    )
    silent = {
        "cls": np.full((1, 1, 4, 4), -9.0, np.float32),
        "reg": np.full((1, 4, 4, 4), 20.0, np.float32),
    }
    assert parity(silent, silent, "fp32", spec).basis == "raw"
    loud = {"cls": np.full((1, 1, 4, 4), 3.0, np.float32), "reg": silent["reg"]}
    assert parity(loud, loud, "fp32", spec).basis == "boxes"
    broken = {"cls": loud["cls"].copy(), "reg": loud["reg"]}
    broken["cls"][0, 0, 0, 0] = np.nan
    verdict = parity(loud, broken, "fp32", spec)
    assert (verdict.passed, verdict.raw_error) == (False, math.inf)


@pytest.mark.parametrize(
    ("precision", "boxes", "allowed"),
    [
        *(("fp32", boxes, allowed) for boxes, allowed in ((1, 0), (99, 0), (100, 1), (199, 1))),
        *(("fp16", boxes, allowed) for boxes, allowed in ((83, 0), (200, 2), (299, 2), (300, 3))),
        *(("int8", boxes, allowed) for boxes, allowed in ((2, 1), (39, 1), (40, 2), (199, 9))),
    ],
)
def test_so_many_boxes_may_be_missing_and_not_one_more(precision, boxes, allowed) -> None:
    for missing in (allowed, allowed + 1):
        verdict = parity(grid(boxes), grid(boxes - missing), precision)
        assert (verdict.boxes, verdict.passed) == (boxes, missing == allowed)
        assert verdict.matched_interval is None


@pytest.mark.parametrize(
    ("successes", "trials", "interval"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    [
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (28, 29, (0.8282, 0.9939)),
        (20, 20, (0.8389, 1.0)),
    ],
)
def test_the_wilson_interval_is_the_published_one(successes, trials, interval) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(interval, abs=5e-5)


@given(trials=st.integers(1, 5000), data=st.data())
def test_the_wilson_intervals_ends_are_one_quantile_from_the_share(trials, data) -> None:
    share = data.draw(st.integers(0, trials)) / trials
    for end in wilson_interval(round(share * trials), trials):
        sigma = math.sqrt(end * (1 - end) / trials)
        assert abs(share - end) == pytest.approx(1.95996398 * sigma, abs=1e-7)


@pytest.mark.parametrize(
    ("boxes", "missing", "passed"),
    # of 200 boxes 197 matched are surely over 95 % (95.7 to 99.5) and 183 surely under (86.8 to 94.6)
    [
        (200, 0, True),
        (200, 3, True),
        (200, 4, None),
        (200, 10, None),
        (200, 15, None),
        (200, 17, False),
        (600, 17, True),
        (600, 30, None),
        (24, 0, None),  # too few to be sure even with all of them
        (100, 0, True),
    ],
)
def test_a_sample_of_boxes_is_judged_by_its_interval(boxes, missing, passed) -> None:
    counted = parity(grid(boxes), grid(boxes - missing), "int8")
    assert isinstance(counted, BoxesParity)
    verdict = judge_by_interval(counted)
    assert verdict.passed is passed
    assert verdict.matched_interval == wilson_interval(boxes - missing, boxes)
    low, high = verdict.matched_interval
    assert (low < 0.95 <= high) is (passed is None)


def test_scores_that_moved_are_refused_whatever_the_interval_says() -> None:
    counted = parity(grid(200), grid(200, score=0.8), "int8")
    assert isinstance(counted, BoxesParity)
    assert judge_by_interval(counted).passed is False
    none = parity(grid(200), grid(200, 50.0), "int8")
    assert isinstance(none, BoxesParity)
    assert (judge_by_interval(none).passed, none.score_shift) == (False, None)
