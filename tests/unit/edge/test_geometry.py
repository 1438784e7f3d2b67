"""Crops: the way into the input and back, for every kind."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.geometry import (
    Crop,
    Size,
    keypoint_boxes,
    letterbox_wh,
    make_crops,
    stretch_boxes,
    whole_frame,
)
from runtimes.base import Array
from runtimes.spec import CropSpec

FRAME_WH = (640, 425)
KINDS = get_args(CropSpec.__annotations__["kind"])


@st.composite
def boxes(draw: st.DrawFn, count: int = 3) -> Array:
    corner = st.floats(-200, 800, width=32)
    side = st.floats(0, 500, width=32)
    rows = draw(st.lists(st.tuples(corner, corner, side, side), min_size=count, max_size=count))
    return np.array([(x, y, x + w, y + h) for x, y, w, h in rows], np.float32)


@st.composite
def specs(draw: st.DrawFn) -> CropSpec:
    return CropSpec(
        kind=draw(st.sampled_from(KINDS)),
        padding=draw(st.floats(0.5, 2)),
        udp=draw(st.booleans()),
    )


input_sizes = st.tuples(st.integers(32, 512), st.integers(32, 512))


def corners(box: Array) -> Array:
    return box.reshape(2, 2)


@given(boxes(), specs(), input_sizes, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_to_frame_undoes_to_input(rows: Array, spec: CropSpec, input_wh: Size, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-100, 700, (4, 17, 2)).astype(np.float32)
    for crop in make_crops(rows, FRAME_WH, spec, input_wh):
        there = crop.to_input(points)
        assert there.dtype == np.float32
        assert there.shape == points.shape
        # A float32 in the input is that much of a frame pixel.
        rounding = np.abs(there).max() * 2e-7 / np.abs(crop.matrix[:, :2]).max()
        np.testing.assert_allclose(crop.to_frame(there), points, atol=1e-4 + 4 * rounding)


def test_a_turned_crop_goes_there_and_back() -> None:
    turned = np.array([[0.6, -0.8, 10], [0.8, 0.6, -4]], np.float32)
    crop = Crop(turned, (192, 256))
    np.testing.assert_allclose(crop.to_input(np.array([5.0, 10.0])), (5.0, 6.0), atol=1e-5)
    np.testing.assert_allclose(crop.to_frame(np.array([5.0, 6.0])), (5.0, 10.0), atol=1e-5)


@given(boxes(), specs(), input_sizes)
@settings(deadline=None)
def test_a_batch_of_boxes_is_each_box_alone(rows: Array, spec: CropSpec, input_wh: Size) -> None:
    together = make_crops(rows, FRAME_WH, spec, input_wh)
    for row, crop in zip(rows, together, strict=True):
        (alone,) = make_crops(row[None], FRAME_WH, spec, input_wh)
        np.testing.assert_array_equal(alone.matrix, crop.matrix)
        assert crop.wh == input_wh


@given(
    rows=boxes(),
    kind=st.sampled_from(["affine", "square"]),
    udp=st.booleans(),
    padding=st.floats(1, 2),
)
@settings(deadline=None)
def test_warped_crops_hold_the_padded_box_in_their_middle(
    rows: Array, kind: str, *, udp: bool, padding: float
) -> None:
    input_wh = (192, 256) if kind == "affine" else (192, 192)
    udp = udp and kind == "affine"
    spec = CropSpec(kind=kind, padding=padding, udp=udp)
    span = np.array(input_wh) - int(udp)
    for row, crop in zip(rows, make_crops(rows, FRAME_WH, spec, input_wh), strict=True):
        middle = crop.to_input(corners(row).mean(axis=0))
        np.testing.assert_allclose(middle, span / 2, atol=0.02)
        size = np.maximum(row[2:] - row[:2], 1) * padding * crop.matrix[[0, 1], [0, 1]]
        assert (size <= span + 0.02).all()
        assert np.isclose(size, span, atol=0.02).any()


def test_affine_keeps_the_aspect_of_things() -> None:
    rows = np.array([[10, 20, 400, 60], [10, 20, 40, 400]], np.float32)
    for crop in make_crops(rows, FRAME_WH, CropSpec(kind="affine", padding=1.25), (192, 256)):
        assert crop.matrix[0, 0] == pytest.approx(crop.matrix[1, 1], rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_box_without_area_gives_a_finite_crop(kind: str) -> None:
    rows = np.array([[5, 5, 5, 5], [5, 5, 5, 80], [700, 500, 700, 500]], np.float32)
    for crop in make_crops(rows, FRAME_WH, CropSpec(kind=kind), (192, 256)):
        assert np.isfinite(crop.matrix).all()
        assert crop.matrix[0, 0] > 0
        assert crop.matrix[1, 1] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_no_boxes_give_no_crops(kind: str) -> None:
    assert make_crops(np.zeros((0, 4), np.float32), FRAME_WH, CropSpec(kind=kind), (192, 256)) == []


def test_letterbox_shows_the_whole_frame_at_the_top_left() -> None:
    rows = np.array([[0, 0, 640, 425], [100, 100, 200, 200]], np.float32)
    crops = make_crops(rows, FRAME_WH, CropSpec(kind="letterbox"), (320, 320))
    for crop in crops:
        # 425 / 2 = 212.5 becomes 213 rows, so the axes differ.
        np.testing.assert_allclose(crop.to_input(np.array([640, 425])), (320, 213), atol=1e-4)
        np.testing.assert_allclose(crop.to_input(np.zeros(2)), (0, 0), atol=1e-6)


@given(st.integers(1, 4000), st.integers(1, 4000), input_sizes)
@settings(deadline=None)
def test_a_letterboxed_frame_fits_and_touches_one_side(
    width: int, height: int, input_wh: Size
) -> None:
    new_wh = letterbox_wh((width, height), input_wh)
    assert all(1 <= new <= limit for new, limit in zip(new_wh, input_wh, strict=True))
    assert any(new == limit for new, limit in zip(new_wh, input_wh, strict=True))


def test_stretch_takes_whole_pixels_inside_the_frame_to_the_whole_input() -> None:
    row = np.array([[-10.0, 20.4, 99.2, 500.0]], np.float32)
    assert stretch_boxes(row, FRAME_WH).tolist() == [[0, 20, 100, 425]]
    (crop,) = make_crops(row, FRAME_WH, CropSpec(kind="stretch"), (50, 81))
    np.testing.assert_allclose(
        crop.to_input(np.array([[0, 20], [100, 425]])), [[0, 0], [50, 81]], atol=1e-4
    )


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="boxes must be"):
        make_crops(np.zeros((2, 5), np.float32), FRAME_WH, CropSpec(kind="affine"), (192, 256))
    with pytest.raises(ValueError, match=r"Crop\.matrix must be"):
        Crop(np.zeros((3, 3), np.float32), (192, 256))


def test_a_box_goes_around_the_keypoints_that_count() -> None:
    xy = np.array([[[3, 9], [1, 5], [-70, 80]], [[4, 4], [0, 0], [0, 0]]], np.float32)
    counted = np.array([[True, True, False], [True, False, False]])
    found = keypoint_boxes(xy, counted)
    assert found.tolist() == [[1, 5, 3, 9], [4, 4, 4, 4]]
    assert found.dtype == np.float32


def test_a_person_without_keypoints_has_no_box_but_the_empty_one() -> None:
    xy = np.zeros((1, 2, 2))
    assert keypoint_boxes(xy, np.zeros((1, 2), bool)).tolist() == [
        [np.inf, np.inf, -np.inf, -np.inf]
    ]
    assert keypoint_boxes(xy[:, :0], np.zeros((1, 0), bool)).shape == (1, 4)
    assert keypoint_boxes(xy[:0], np.zeros((0, 2), bool)).shape == (0, 4)


def test_the_whole_frame_is_one_box() -> None:
    box = whole_frame(FRAME_WH)
    assert box.tolist() == [[0, 0, 640, 425]]
    assert box.dtype == np.float32
