"""Painting: on a copy, at the keypoints, in the sides' colours, inside the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.image import write_image
from edge.media.draw import LEFT, RIGHT, draw_boxes, draw_poses, put_banner
from edge.schema import KeypointSchema
from edge.types import F32, U8, Detections, Poses
from runtimes.errors import InputError

SCHEMA = KeypointSchema(
    "three", ("left", "right", "middle"), edges=((0, 2), (2, 1)), left_right=((0, 1),)
)
PLACES = np.float32([[[80, 30], [20, 30], [50, 90]]])


def picture(level: int = 128) -> U8:
    return np.full((120, 100, 3), level, np.uint8)


def one_pose(xy: F32 = PLACES, scores: tuple[float, ...] = (0.9, 0.9, 0.9)) -> Poses:
    return Poses(
        np.asarray(xy, np.float32),
        np.float32([scores]),
        np.float32([[10, 10, 90, 100]]),
        np.ones(1, np.float32),
        np.int32([3]),
        SCHEMA,
    )


DETECTIONS = Detections(
    np.float32([[20, 30, 80, 110]]), np.ones(1, np.float32), np.zeros(1, np.int32)
)


@pytest.mark.parametrize(
    "painted",
    [
        lambda image: draw_poses(image, one_pose(), show_boxes=True),
        lambda image: draw_boxes(image, DETECTIONS, ["person"]),
        lambda image: put_banner(image, "random weights: for smoke tests only"),
    ],
)
def test_the_input_is_left_alone(painted) -> None:  # type: ignore[no-untyped-def]
    image = picture()
    result = painted(image)
    np.testing.assert_array_equal(image, picture())
    assert result.shape == image.shape
    assert result.dtype == np.uint8
    assert (result != image).any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_keypoints_are_painted_in_the_colour_of_their_side(level: int) -> None:
    painted = draw_poses(picture(level), one_pose(), show_ids=False)
    assert tuple(painted[30, 80]) == LEFT
    assert tuple(painted[30, 20]) == RIGHT
    # Half-way along the edge from the left point to the middle one.
    np.testing.assert_allclose(painted[60, 65], LEFT, atol=25)


def test_weak_or_missing_keypoints_and_their_edges_are_left_out() -> None:
    weak = draw_poses(picture(), one_pose(scores=(0.1, 0.9, 0.9)), show_ids=False)
    np.testing.assert_array_equal(weak[20:45, 60:], picture()[20:45, 60:])
    assert tuple(weak[30, 20]) == RIGHT
    missing = PLACES.copy()
    missing[0, 0] = np.nan
    np.testing.assert_array_equal(draw_poses(picture(), one_pose(missing), show_ids=False), weak)


def test_no_people_give_an_unpainted_copy() -> None:
    image = picture()
    painted = draw_poses(image, Poses.empty(SCHEMA))
    assert painted is not image
    np.testing.assert_array_equal(painted, image)
    np.testing.assert_array_equal(draw_boxes(image, Detections.empty()), image)


def test_larger_people_get_thicker_strokes() -> None:
    def painted_share(scale: int) -> float:
        image = np.full((120 * scale, 100 * scale, 3), 128, np.uint8)
        pose = one_pose(PLACES * np.float32(scale))
        painted = draw_poses(image, pose, show_ids=False)
        return float((painted != image).any(axis=2).mean() * scale)

    assert painted_share(6) > 1.2 * painted_share(2)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, (1, 3, 2), elements=st.floats(width=32)))
def test_any_coordinates_are_survived(xy: F32) -> None:
    painted = draw_poses(picture(), one_pose(xy))
    assert painted.shape == (120, 100, 3)


def test_a_box_is_painted_on_its_edges() -> None:
    painted = draw_boxes(picture(), DETECTIONS)
    for y, x in ((70, 20), (70, 80), (110, 50)):
        assert (painted[y, x] != picture()[y, x]).any()
    np.testing.assert_array_equal(painted[60:90, 40:60], picture()[60:90, 40:60])


@pytest.mark.parametrize("xy", [(-500, -500), (500, 500), (50, 60)])
def test_a_label_is_moved_inside(xy: tuple[float, float]) -> None:
    box = np.array([[*xy, xy[0] + 1, xy[1] + 1]], np.float32)
    one = Detections(box, np.ones(1, np.float32), np.zeros(1, np.int32))
    changed = (draw_boxes(picture(255), one, ["ab"]) != 255).any(axis=2)
    assert changed.sum() > 100


def test_a_banner_keeps_the_upper_picture_and_fits_long_notes() -> None:
    painted = put_banner(picture(), "a note that is far longer than this small picture is wide")
    np.testing.assert_array_equal(painted[:60], picture()[:60])
    assert painted[-1].max() < 128


def test_only_uint8_bgr_is_taken() -> None:
    with pytest.raises(ValueError, match="uint8"):
        put_banner(np.zeros((10, 10, 3), np.float32), "x")


def test_images_are_taken_as_models_take_them(tmp_path) -> None:
    pil = pytest.importorskip("PIL.Image")
    grey = np.full((120, 100), 128, np.uint8)
    write_image(tmp_path / "grey.png", picture())
    wanted = one_pose().plot(picture())
    for image in (grey, tmp_path / "grey.png", str(tmp_path / "grey.png"), pil.fromarray(grey)):
        np.testing.assert_array_equal(one_pose().plot(image), wanted)
    assert (grey == 128).all()
    with pytest.raises(InputError, match=r"not None: cv2\.imread"):
        one_pose().plot(None)
