"""Keypoint metrics against mathematics, and OKS against the reference figures."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.evaluation.keypoint_metrics import oks, pck, pixel_errors
from edge.schema import load_schema
from runtimes.errors import InputError

TRUTH = np.zeros((2, 3, 2), np.float32)
ALL = np.ones((2, 3), bool)


def test_pixel_errors_of_a_three_four_five_triangle() -> None:
    xy = TRUTH.copy()
    xy[0, 0] = (3, 4)
    errors = pixel_errors(xy, TRUTH, ALL)
    assert (errors.mean, errors.max, errors.count) == pytest.approx((5 / 6, 5, 6))
    assert errors.p95 == pytest.approx(
        3.75
    )  # between the fifth (0) and the sixth (5), three quarters on


def test_points_that_do_not_count_do_not_count() -> None:
    xy = TRUTH.copy()
    xy[0, 0] = (300, 400)
    counted = ALL.copy()
    counted[0, 0] = False
    assert pixel_errors(xy, TRUTH, counted).max == 0
    assert pck(xy, TRUTH, counted, np.ones(2), 0.1) == 1
    assert oks(xy, TRUTH, counted, np.ones(2), np.full(3, 0.1)) == pytest.approx([1, 1])


def test_nothing_counted_is_undefined() -> None:
    errors = pixel_errors(TRUTH, TRUTH, ~ALL)
    assert np.isnan(errors.mean)
    assert errors.count == 0
    assert np.isnan(pck(TRUTH, TRUTH, ~ALL, np.ones(2), 0.1))
    assert np.isnan(oks(TRUTH, TRUTH, ~ALL, np.ones(2), np.full(3, 0.1))).all()


def test_pck_measures_each_person_by_its_own_size() -> None:
    xy = TRUTH + np.float32((3, 4))
    assert pck(xy, TRUTH, ALL, np.array([100.0, 10.0]), 0.05) == 0.5
    assert (
        pck(xy, TRUTH, ALL, np.array([100.0, 100.0]), 0.05) == 1
    )  # the limit itself is near enough


def test_oks_at_one_standard_deviation() -> None:
    sigmas = np.array([0.05, 0.1, 0.2])
    area = np.array([400.0, 2500.0])
    xy = TRUTH.astype(np.float64)
    xy[..., 0] = 2 * sigmas * np.sqrt(area)[:, None]
    assert oks(xy, TRUTH, ALL, area, sigmas) == pytest.approx([np.exp(-0.5)] * 2)


@given(st.floats(0, 50), st.floats(0, 50))
def test_oks_falls_with_distance(a: float, b: float) -> None:
    near, far = sorted((a, b))
    values = [
        oks(
            np.full((1, 2, 2), shift),
            np.zeros((1, 2, 2)),
            np.ones((1, 2), bool),
            np.array([900.0]),
            np.full(2, 0.07),
        )[0]
        for shift in (near, far)
    ]
    assert 1 >= values[0] >= values[1] >= 0


def test_misfits_are_refused() -> None:
    with pytest.raises(InputError, match="must both be"):
        pixel_errors(TRUTH, TRUTH[:1], ALL)
    with pytest.raises(InputError, match="one size"):
        pck(TRUTH, TRUTH, ALL, np.array([1.0, 0.0]), 0.1)


@pytest.mark.parametrize("scene", range(6))
def test_oks_of_the_reference(oracles: Path, scene: int) -> None:
    """The reference compares poses of one size to each other; ours compares a pose to the truth."""
    with np.load(oracles / "oks.npz") as data:
        keypoints, areas = data[f"{scene}/kpts"], data[f"{scene}/areas"]
        expected = data[f"{scene}/iou"]
    sigmas = np.array(load_schema("coco17").sigmas)
    counted = np.ones(keypoints.shape[:2], bool)
    for row, truth in enumerate(keypoints):
        mean_areas = (areas + areas[row]) / 2
        truths = np.broadcast_to(truth[:, :2], (len(keypoints), 17, 2))
        got = oks(keypoints[..., :2], truths, counted, mean_areas, sigmas)
        assert got == pytest.approx(expected[row], abs=1e-6)
