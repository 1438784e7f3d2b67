"""The gate's arithmetic for detectors: boxes that overlap by construction."""

import math

import msgspec
import numpy as np
import pytest

from edge.parity.compare import compare, make_reference
from runtimes.base import Outputs
from runtimes.codec_spec import BoxesCodec, RTMDetCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Parity,
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
def test_the_share_of_boxes_found_again(precision, missing, passed) -> None:
    verdict = parity(grid(100), grid(100 - missing), precision)
    assert (verdict.basis, verdict.boxes) == ("boxes", 100)
    assert verdict.matched == pytest.approx(1 - missing / 100)
    assert verdict.passed is passed


@pytest.mark.parametrize(
    ("precision", "shift", "matched"),
    # two squares of side 100, one moved by s, overlap by (100 - s) / (100 + s)
    [("fp16", 5.0, 1.0), ("fp16", 5.5, 0.0), ("int8", 14.0, 1.0), ("int8", 14.5, 0.0)],
)
def test_a_box_is_found_again_where_it_was(precision, shift, matched) -> None:
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


def test_weak_reference_boxes_need_not_be_found() -> None:
    reference = grid(30)
    reference["dets"][0, 10:, 4] = 0.29
    verdict = parity(reference, grid(10), "fp32")
    assert (verdict.boxes, verdict.matched) == (10, 1.0)


def test_a_box_of_another_class_does_not_count() -> None:
    outputs = grid(20)
    outputs["labels"][0, :5] = 1
    assert parity(grid(20), outputs, "fp32").matched == 0.75


def test_one_box_answers_for_one() -> None:
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
