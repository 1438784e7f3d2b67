"""Crop views against the geometry of inference and the properties of matrices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.geometry import Crop, make_crops
from quantize.distill.data.crop_view import CropView, box_view, crop_to_crop, to_bins, view_crop
from runtimes.spec import CropSpec

SIDES = st.floats(2, 400)
PLACES = st.floats(-50, 500)
CROPS = [CropSpec(kind="affine", padding=1.25, udp=udp) for udp in (False, True)]
WH = (192, 256)


def span(crop: CropSpec) -> np.ndarray:
    return np.array(WH) - int(crop.udp)


@pytest.mark.parametrize("crop", CROPS, ids=["plain", "udp"])
@given(left=PLACES, top=PLACES, width=SIDES, height=SIDES)
def test_without_augmentation_it_is_the_deployed_crop(crop, left, top, width, height) -> None:
    box = np.array((left, top, left + width, top + height), np.float32)
    (wanted,) = make_crops(box[None], (640, 480), crop, WH)
    found = view_crop(box_view(box, crop.padding), crop, WH)
    np.testing.assert_allclose(found.matrix, wanted.matrix, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("crop", CROPS, ids=["plain", "udp"])
@given(turn=st.floats(-180, 180), width=SIDES, height=SIDES)
def test_a_turn_keeps_the_centre_and_lengths(crop, turn, width, height) -> None:
    """In input pixels of a square input a rotation about the centre changes no distance to it."""
    view = CropView((100.0, 80.0), (width, height), turn)
    upright = CropView((100.0, 80.0), (width, height))
    wh = (200, 200)
    points = np.array(((100, 80), (130, 80), (100, 110)), np.float64)
    turned, still = (view_crop(each, crop, wh).to_input(points) for each in (view, upright))
    np.testing.assert_allclose(turned[0], still[0], atol=1e-2)
    np.testing.assert_allclose(
        np.linalg.norm(turned[1:] - turned[0], axis=1),
        np.linalg.norm(still[1:] - still[0], axis=1),
        rtol=1e-3,
    )


def test_a_positive_turn_is_clockwise() -> None:
    """A point right of the centre moves below it; y points down."""
    crop = view_crop(CropView((50.0, 50.0), (100.0, 100.0), 90.0), CROPS[0], (100, 100))
    np.testing.assert_allclose(crop.to_input(np.array((60.0, 50.0))), (50, 60), atol=1e-4)


@pytest.mark.parametrize("crop", CROPS, ids=["plain", "udp"])
def test_a_mirrored_view_is_that_of_the_mirrored_frame(crop) -> None:
    """Frames of width W mirror pixel x to W - 1 - x; both boxes show the same person."""
    width = 640
    box = np.array((100, 50, 180, 300), np.float32)
    mirrored_box = np.array((width - 1 - 180, 50, width - 1 - 100, 300), np.float32)
    (plain,) = make_crops(mirrored_box[None], (width, 480), crop, WH)
    view = box_view(box, crop.padding)
    found = view_crop(CropView(view.centre, view.size, 0.0, flipped=True), crop, WH)
    points = np.array(((120.0, 60.0), (175.0, 290.0)))
    mirrored_points = np.array((width - 1, 0)) + points * (-1, 1)
    np.testing.assert_allclose(found.to_input(points), plain.to_input(mirrored_points), atol=1e-3)


@given(
    turn=st.floats(-90, 90), scale=st.floats(0.3, 3), dx=st.floats(-80, 80), flipped=st.booleans()
)
def test_crop_to_crop_goes_through_the_frame(turn, scale, dx, flipped) -> None:
    crop = CROPS[1]
    first = view_crop(CropView((90.0, 70.0), (80.0, 120.0)), crop, WH)
    other = view_crop(
        CropView((90.0 + dx, 70.0), (80 * scale, 120 * scale), turn, flipped), crop, WH
    )
    points = np.array(((90.0, 70.0), (60.0, 100.0), (120.0, 20.0)))
    matrix = crop_to_crop(first, other)
    moved = first.to_input(points) @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(moved, other.to_input(points), atol=0.05)


def test_bins_are_pixels_over_strides() -> None:
    matrix = crop_to_crop(
        Crop(np.eye(2, 3, dtype=np.float32), WH),
        view_crop(CropView((50.0, 60.0), (90.0, 90.0), 30.0), CROPS[0], WH),
    )
    here, there = np.array((4.0, 4.5)), np.array((8.0, 3.0))
    pixel = np.array((33.0, 47.0))
    wanted = (matrix[:, :2] @ pixel + matrix[:, 2]) / there
    found = to_bins(matrix, here, there)
    np.testing.assert_allclose(found[:, :2] @ (pixel / here) + found[:, 2], wanted)
