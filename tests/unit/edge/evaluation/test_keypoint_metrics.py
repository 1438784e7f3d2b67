"""Pixel errors and PCK against mathematics."""

import numpy as np
import pytest

from edge.evaluation.keypoint_metrics import pck, pixel_errors
from runtimes.errors import InputError

TRUTH = np.zeros((2, 3, 2), np.float32)
ALL = np.ones((2, 3), bool)


def test_pixel_errors_of_a_three_four_five_triangle() -> None:
    xy = TRUTH.copy()
    xy[0, 0] = (3, 4)
    errors = pixel_errors(xy, TRUTH, ALL)
    assert errors.tolist() == [5, 0, 0, 0, 0, 0]


def test_points_that_do_not_count_do_not_count() -> None:
    xy = TRUTH.copy()
    xy[0, 0] = (300, 400)
    counted = ALL.copy()
    counted[0, 0] = False
    assert pixel_errors(xy, TRUTH, counted).tolist() == [0, 0, 0, 0, 0]
    assert pck(xy, TRUTH, counted, np.ones(2), 0.1) == 1


def test_nothing_counted_is_undefined() -> None:
    assert pixel_errors(TRUTH, TRUTH, ~ALL).size == 0
    assert np.isnan(pck(TRUTH, TRUTH, ~ALL, np.ones(2), 0.1))


def test_pck_measures_each_person_by_its_own_size() -> None:
    xy = TRUTH + np.float32((3, 4))
    assert pck(xy, TRUTH, ALL, np.array([100.0, 10.0]), 0.05) == 0.5
    assert (
        pck(xy, TRUTH, ALL, np.array([100.0, 100.0]), 0.05) == 1
    )  # the limit itself is near enough


def test_misfits_are_refused() -> None:
    with pytest.raises(InputError, match="must both be"):
        pixel_errors(TRUTH, TRUTH[:1], ALL)
    with pytest.raises(InputError, match="one size"):
        pck(TRUTH, TRUTH, ALL, np.array([1.0, 0.0]), 0.1)
