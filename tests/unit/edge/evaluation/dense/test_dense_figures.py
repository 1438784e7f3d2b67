"""mIoU, depth errors and angular errors, by cases worked out by hand."""

import numpy as np
import pytest

from edge.evaluation.dense.depth import depth_figures
from edge.evaluation.dense.masks import confusion, mask_figures
from edge.evaluation.dense.normals import AngularErrors, angular_errors

ALL = np.ones((2, 4), np.bool_)


def test_iou_of_a_mask_by_hand() -> None:
    """Of class 0: 3 there, 2 right, 1 false; of class 1: 4 there, 3 right, 1 false; class 2 is not there."""
    truth = np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.int32)
    labels = np.array([[0, 0, 1, 1], [1, 1, 0, 1]], np.int32)
    counts = ALL.copy()
    counts[1, 3] = False
    pixels = confusion(labels, truth, counts, 3)
    figures, classes = mask_figures(pixels, ("hand", "foot", "hair"))
    assert classes["hand"] == {"IoU": 2 / 4, "accuracy": pytest.approx(2 / 3)}
    assert classes["foot"] == {"IoU": 3 / 5, "accuracy": 3 / 4}
    assert classes["hair"] == {"IoU": None, "accuracy": None}
    assert figures == {
        "mIoU": pytest.approx(0.55),
        "mAcc": pytest.approx((2 / 3 + 3 / 4) / 2),
        "accuracy": pytest.approx(5 / 7),
    }


def test_a_class_that_is_only_labelled_has_an_iou_of_0() -> None:
    truth, labels = np.zeros((1, 2), np.int32), np.array([[0, 1]], np.int32)
    figures, classes = mask_figures(
        confusion(labels, truth, np.ones((1, 2), np.bool_), 2), ("a", "b")
    )
    assert classes["b"] == {"IoU": 0, "accuracy": None}
    assert (figures["mIoU"], figures["mAcc"]) == (0.25, 0.5)


def test_nothing_that_counts_gives_no_figure() -> None:
    nothing = np.zeros((2, 4), np.bool_)
    zeros = np.zeros((2, 4), np.int32)
    figures, _ = mask_figures(confusion(zeros, zeros, nothing, 2), ("a", "b"))
    assert set(figures.values()) == {None}
    depth = np.ones((2, 4), np.float32)
    assert depth_figures(depth, depth, nothing, "none") is None
    assert set(AngularErrors().figures().values()) == {None}


def test_depth_errors_by_hand() -> None:
    truth = np.array([[1.0, 2.0, 4.0, 5.0]], np.float32)
    depth = np.array([[2.0, 2.0, 3.0, -7.0]], np.float32)
    counts = np.array([[True, True, True, False]])
    found = depth_figures(depth, truth, counts, "none")
    assert found == {
        "RMSE": pytest.approx(np.sqrt((1 + 0 + 1) / 3)),
        "AbsRel": pytest.approx((1 + 0 + 0.25) / 3),
        "delta1": pytest.approx(1 / 3),  # 2 / 1 and 4 / 3 are beyond 1.25
    }


def test_a_depth_below_0_is_no_near_miss() -> None:
    one = np.ones((1, 1), np.float32)
    found = depth_figures(-one, one, one > 0, "none")
    assert found is not None
    assert found["delta1"] == 0


def test_a_relative_depth_is_fitted_by_scale_and_shift() -> None:
    truth = np.random.default_rng(0).uniform(1, 3, (6, 7)).astype(np.float32)
    counts = truth > 1.2
    relative = np.where(counts, (5 - truth) / 4, np.float32(99))
    found = depth_figures(relative, truth, counts, "scale-shift")
    assert found is not None
    assert found["RMSE"] < 1e-6
    # the best fit of a constant is the mean: its error is the standard deviation
    flat = depth_figures(np.ones_like(truth), truth, counts, "scale-shift")
    assert flat is not None
    assert flat["RMSE"] == pytest.approx(truth[counts].std(), rel=1e-5)


def directions(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane of x and y, float32 (3, 1, n)."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles), np.zeros(len(angles))])[:, None].astype(
        np.float32
    )


def test_angles_between_normals() -> None:
    truth = directions(0, 10, 90, 0, 0)
    normals = directions(0, 30, 270, 60, 0) * np.float32(7)
    normals[:, :, 4] = 0
    counts = np.ones((1, 5), np.bool_)
    degrees = angular_errors(normals, truth, counts)
    np.testing.assert_allclose(degrees, [0, 20, 180, 60, 90], atol=1e-4)
    counts[0, 2] = False
    assert len(angular_errors(normals, truth, counts)) == 4


def test_figures_of_angles_over_several_images() -> None:
    errors = AngularErrors()
    errors.add(np.array([0.0, 11.25, 5.0]))
    errors.add(np.array([25.0, 90.0]))
    assert errors.figures() == {
        "mean_degrees": pytest.approx(26.25),
        "median_degrees": pytest.approx(11.25, abs=0.01),
        "within_11.25": 0.4,
        "within_22.5": 0.6,
        "within_30": 0.8,
    }
    errors.add(np.array([40.0]))
    assert errors.figures()["median_degrees"] == pytest.approx((11.25 + 25) / 2, abs=0.01)


def test_the_median_is_numpys() -> None:
    degrees = np.random.default_rng(1).uniform(0, 180, 2000)
    errors = AngularErrors()
    errors.add(degrees)
    assert errors.figures()["median_degrees"] == pytest.approx(np.median(degrees), abs=0.01)
