"""Pixel and raw verdicts, on maps whose peaks lie where the test puts them."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parity.compare import all_passed, compare, judged_precision
from edge.parity.decidable import decidable_keypoints
from edge.parity.raw_error import raw_error
from edge.parity.reference import make_reference
from edge.schema import load_schema
from runtimes.base import Outputs
from runtimes.codec_spec import HeatmapCodec, SimCCCodec, YxsCodec
from runtimes.errors import InputError
from runtimes.parity_spec import Parity, PxParity
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    Precision,
    TensorSpec,
)

WIDTH, HEIGHT, POINTS = 48, 64, 17
PEAK = 4.0
COCO = load_schema("coco17")
SIMCC = ModelSpec(
    model="simcc",
    task="pose-topdown",
    inputs=(),
    outputs=(TensorSpec(name="x"), TensorSpec(name="y")),
    image=ImageSpec(wh=(WIDTH, HEIGHT)),
    crop=CropSpec(kind="affine", padding=1.25),
    codec=SimCCCodec(split_ratio=2.0),
    keypoints=COCO.to_spec(),
)
HEATMAP = msgspec.structs.replace(
    SIMCC, model="heatmap", outputs=(TensorSpec(name="maps"),), codec=HeatmapCodec(refine="none")
)


def images(count: int) -> np.ndarray:
    return np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)


def simcc(people: int) -> Outputs:
    """Peaks well inside, a different bin for every keypoint; nothing beside them."""
    x = np.zeros((people, POINTS, 2 * WIDTH), np.float32)
    y = np.zeros((people, POINTS, 2 * HEIGHT), np.float32)
    for person, point in np.ndindex(people, POINTS):
        x[person, point, 20 + 3 * point] = PEAK
        y[person, point, 30 + 3 * point] = PEAK
    return {"x": x, "y": y}


def moved(outputs: Outputs, person: int, point: int, bins: int) -> Outputs:
    """Move one keypoint to the right by so many bins, half a pixel each."""
    copy = {name: values.copy() for name, values in outputs.items()}
    copy["x"][person, point] = np.roll(copy["x"][person, point], bins)
    return copy


def parity(reference: Outputs, outputs: Outputs, precision: Precision, spec: ModelSpec = SIMCC):
    count = len(next(iter(reference.values())))
    made = make_reference(images(count), reference, spec, "mathematics")
    return compare(made, outputs, spec, precision)


@pytest.mark.parametrize(
    ("distance", "value", "decidable"),
    [
        (1, 0.99, True),
        (2, 0.99, True),
        (-2, 0.99, True),
        (3, 0.99, False),
        (-3, 0.95, False),
        (3, 0.89, True),
        (40, 0.95, False),
    ],
)
@pytest.mark.parametrize("axis", ["x", "y"])
def test_a_rival_outside_the_neighbourhood_must_be_ten_percent_lower(
    axis, distance, value, decidable
) -> None:
    outputs = simcc(1)
    best = int(outputs[axis][0, 5].argmax())
    outputs[axis][0, 5, best + distance] = value * PEAK
    expected = np.ones((1, POINTS), bool)
    expected[0, 5] = decidable
    np.testing.assert_array_equal(decidable_keypoints(outputs, SIMCC), expected)


@pytest.mark.parametrize(
    ("right", "down", "decidable"),
    [(2, 2, True), (-2, 2, True), (3, 0, False), (0, 3, False), (2, -3, False), (-20, 0, False)],
)
def test_a_heatmap_neighbourhood_is_five_by_five(right, down, decidable) -> None:
    maps = np.zeros((1, POINTS, HEIGHT, WIDTH), np.float32)
    maps[:, :, 30, 24] = 1.0
    maps[0, 3, 30 + down, 24 + right] = 0.95
    found = decidable_keypoints({"maps": maps}, HEATMAP)
    assert found is not None
    assert found[0, 3] == decidable
    assert found.sum() == POINTS - 1 + decidable


def test_a_map_without_a_positive_value_is_undecidable() -> None:
    outputs = simcc(1)
    outputs["x"][0, 0] -= 2 * PEAK
    outputs["y"][0, 1] = 0
    found = decidable_keypoints(outputs, SIMCC)
    assert found is not None
    assert found[0].tolist() == [False, False, *[True] * 15]


def test_regressed_keypoints_are_decided_by_their_score() -> None:
    spec = msgspec.structs.replace(SIMCC, outputs=(TensorSpec(name="yxs"),), codec=YxsCodec())
    values = np.full((1, 1, POINTS, 3), 0.5, np.float32)
    values[0, 0, :4, 2] = 0.29
    found = decidable_keypoints({"yxs": values}, spec)
    assert found is not None
    assert found[0].tolist() == [False] * 4 + [True] * 13
    shifted = values + np.float32([0, 1.5 / WIDTH, 0])
    verdict = parity({"yxs": values}, {"yxs": shifted}, "int8", spec)
    assert (verdict.basis, verdict.passed) == ("px", True)
    assert verdict.px_max == pytest.approx(1.5, abs=1e-4)


def test_pixels_are_those_of_the_input_and_count_decidable_keypoints_only() -> None:
    reference = simcc(6)
    outputs = reference
    # 102 keypoints: 6 % moved by 3 bins (1.5 px), one undecidable keypoint by 20
    for person in range(6):
        outputs = moved(outputs, person, 2, 3)
    reference["y"][0, 9, 5] = PEAK
    outputs["y"][0, 9, 5] = PEAK
    outputs = moved(outputs, 0, 9, 20)
    verdict = parity(reference, outputs, "int8")
    distances = np.array([1.5] * 6 + [0.0] * 95)
    assert (verdict.basis, verdict.passed, verdict.limit) == ("px", True, 2.0)
    assert (verdict.decidable, verdict.keypoints, verdict.samples) == (101, 102, 6)
    assert verdict.px_mean == pytest.approx(distances.mean(), abs=1e-6)
    assert verdict.px_p95 == pytest.approx(np.percentile(distances, 95), abs=1e-6)
    assert verdict.px_max == pytest.approx(1.5, abs=1e-6)


def test_oks_is_cocos_over_the_person_that_fills_the_crop() -> None:
    reference = simcc(1)
    outputs = moved(reference, 0, 11, 8)  # a hip, 4 px
    area = WIDTH * HEIGHT / 1.25**2
    hip = math.exp(-(4.0**2) / (2 * area * (2 * 0.107) ** 2))
    assert parity(reference, outputs, "int8").oks_mean == pytest.approx((16 + hip) / 17, abs=1e-5)


@pytest.mark.parametrize(
    ("bins", "passed"),
    [
        (0, {"fp32": True, "fp16": True, "int8": True}),
        (1, {"fp32": False, "fp16": True, "int8": True}),
        (2, {"fp32": False, "fp16": False, "int8": True}),
        (4, {"fp32": False, "fp16": False, "int8": True}),
        (5, {"fp32": False, "fp16": False, "int8": False}),
    ],
)
def test_limits_of_the_ninety_fifth_percentile(bins, passed) -> None:
    reference = simcc(1)
    outputs = moved(moved(reference, 0, 0, bins), 0, 1, bins)
    for precision, expected in passed.items():
        verdict = parity(reference, outputs, precision)
        assert verdict.basis == "px"
        assert verdict.px_p95 == pytest.approx(bins / 2)
        assert verdict.passed is expected


def test_one_keypoint_in_forty_may_be_anywhere() -> None:
    reference = simcc(3)
    assert parity(reference, moved(reference, 1, 4, 30), "fp32").passed is True


def undecidable(share: int) -> Outputs:
    """Of 17 keypoints, the first `share` have a second peak as high."""
    outputs = simcc(1)
    outputs["x"][0, :share, 5] = PEAK
    return outputs


def test_fewer_than_half_decidable_is_judged_raw() -> None:
    assert parity(undecidable(8), undecidable(8), "fp32").basis == "px"
    verdict = parity(undecidable(9), undecidable(9), "fp32")
    assert (verdict.basis, verdict.passed, verdict.raw_error) == ("raw", True, 0.0)
    assert (verdict.decidable, verdict.keypoints) == (8, 17)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-3), ("fp16", 3e-2), ("int8", None)])
def test_raw_limits(precision: Precision, limit: float | None) -> None:
    reference = undecidable(17)
    for factor, within in ((0.9, True), (1.1, False)):
        passed = None if limit is None else within  # nothing to judge by
        outputs = {name: values.copy() for name, values in reference.items()}
        outputs["y"][0, 0, 0] += factor * (limit or 1e-6) * PEAK  # max|ref| is the peak
        verdict = parity(reference, outputs, precision)
        assert (verdict.basis, verdict.passed, verdict.limit) == ("raw", passed, limit)


@pytest.mark.parametrize(
    ("file", "arithmetic", "judged"),
    [
        ("fp32", "f32", "fp32"),
        ("fp32", "f16", "fp16"),
        ("fp32", "bf16", "fp16"),
        ("fp16", "f32", "fp16"),
        ("fp16", "bf16", "fp16"),
        ("int8", "f32", "int8"),
        ("int8", "f16", "int8"),
    ],
)
def test_the_coarser_of_file_and_arithmetic_sets_the_limits(file, arithmetic, judged) -> None:
    assert judged_precision(file, arithmetic) == judged


def test_half_precision_moves_keypoints_by_a_bin_at_most_and_passes_as_half() -> None:
    """Of a Gaussian of sigma s around a centre d from the middle of two bins, these differ by d / s^2 of the peak.

    Opposite errors of e turn them round where d < 2 e s^2. With s = 5 and e of 4 units of half precision that is e s^2,
    5 %, of keypoints on each axis, so that the percentile is one bin, half a pixel. A third bin is lower by at least
    (1 - 1/4) / (2 s^2), four times what both errors amount to.
    """
    rng = np.random.default_rng(11)
    spec = msgspec.structs.replace(SIMCC, codec=SimCCCodec(split_ratio=2.0, sigma=(5.0, 5.0)))
    reference, rounded = {}, {}
    for name, bins in (("x", 2 * WIDTH), ("y", 2 * HEIGHT)):
        centre = rng.uniform(30, 60, (40, POINTS, 1))
        values = PEAK * np.exp(-0.5 * ((np.arange(bins) - centre) / 5.0) ** 2)
        reference[name] = values.astype(np.float32)
        error = rng.choice([-4, 4], values.shape) * 2.0**-11
        rounded[name] = (values * (1 + error)).astype(np.float32)
    as_half, as_float = (parity(reference, rounded, each, spec) for each in ("fp16", "fp32"))
    assert (as_half.px_p95, as_half.passed, as_float.passed) == (0.5, True, False)
    assert as_half.px_max <= math.hypot(0.5, 0.5)


def test_small_references_are_not_blown_up() -> None:
    spec = msgspec.structs.replace(HEATMAP, task="depth", keypoints=None)
    reference = {"maps": np.full((1, POINTS, HEIGHT, WIDTH), 1e-3, np.float32)}
    made = make_reference(images(1), reference, HEATMAP, "mathematics")
    outputs = {"maps": reference["maps"] + np.float32(5e-4)}
    assert raw_error(made, outputs) == pytest.approx(5e-4, rel=1e-3)
    assert compare(made, outputs, spec, "fp32").passed is True


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(value) -> None:
    for reference in (simcc(1), undecidable(17)):
        outputs = {name: values.copy() for name, values in reference.items()}
        outputs["y"][0, 16, 0] = value
        verdict = parity(reference, outputs, "fp16")
        assert verdict.passed is False
        assert verdict.raw_error == math.inf


def test_missing_and_misshapen_outputs_are_wrong_use() -> None:
    reference = simcc(1)
    with pytest.raises(InputError, match="'y'"):
        parity(reference, {"x": reference["x"]}, "fp32")
    with pytest.raises(InputError, match="shape"):
        parity(reference, {"x": reference["x"], "y": reference["y"][:, :, 1:]}, "fp32")


@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-4, 1.0), trained=st.booleans())
def test_noise_of_known_size_is_what_is_measured(seed, size, trained) -> None:
    rng = np.random.default_rng(seed)
    reference = simcc(2)
    if not trained:
        reference = {
            # within 5 % of each other, so that no bin stands out by 10
            name: rng.uniform(0.95, 1, values.shape).astype(np.float32)
            for name, values in reference.items()
        }
    itself = parity(reference, reference, "fp32")
    assert (itself.passed, itself.raw_error) == (True, 0.0)
    assert itself.basis == ("px" if trained else "raw")
    noisy = {
        name: (values + size * rng.choice([-1, 1], values.shape)).astype(np.float32)
        for name, values in reference.items()
    }
    verdict = parity(reference, noisy, "fp16")
    expected = max(size / max(1.0, float(np.abs(v).max())) for v in reference.values())
    assert verdict.raw_error == pytest.approx(expected, rel=1e-2, abs=1e-6)
    if not trained:
        assert verdict.passed is (verdict.raw_error <= 3e-2)


def record(**fields: object) -> Parity:
    return PxParity(reference="r", **fields)


@pytest.mark.parametrize(
    ("records", "passed"),
    [
        ([], False),
        ([record(passed=True, limit=1.0)], True),
        ([record(passed=True, limit=1.0), record(passed=False, limit=1.0)], False),
        ([record(passed=True, limit=1.0), record(passed=None, limit=1.0)], False),  # undecided
        ([record(passed=None)], False),  # nobody judged
        ([record(passed=None), record(passed=True, limit=1.0)], True),  # somebody else did
        ([record(passed=True, limit=1.0), record(passed=None, symptoms=("dead",))], False),
    ],
)
def test_what_passes_together(records, passed) -> None:
    assert all_passed(records) is passed
