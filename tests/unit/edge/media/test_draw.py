"""Painting: on a copy, at the keypoints, in the sides' colours, inside the picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.image import write_image
from edge.media.draw import CENTRE, LEFT, RIGHT, draw_boxes, draw_poses, put_banner
from edge.media.drawing.style import ID_COLOURS, id_colour, text_colour
from edge.schema import KeypointSchema, common_names, load_schema
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


def test_larger_frames_allow_thicker_strokes() -> None:
    def painted_px(height: int) -> int:
        image = np.full((height, 1000, 3), 128, np.uint8)
        pose = one_pose(np.float32([[[900, 10], [10, 10], [450, 50]]]))
        return int((draw_poses(image, pose, show_ids=False) != image).any(axis=2).sum())

    assert painted_px(1000) > 1.5 * painted_px(120)


def test_unsure_limbs_let_the_picture_through() -> None:
    def green(score: float) -> float:
        painted = draw_poses(picture(0), one_pose(scores=(score, 0.9, score)), show_ids=False)
        return float(painted[60, 65, 1])

    assert 0.3 * LEFT[1] < green(0.35) < 0.6 * LEFT[1]
    assert green(0.35) < green(0.5) < green(0.69) < green(0.9)


def test_predicted_people_are_dashed_and_faint() -> None:
    line = np.float32([[[90, 10], [10, 10], [10, 110]]])
    solid = draw_poses(picture(0), one_pose(line), states=["tracked"])
    dashed = draw_poses(picture(0), one_pose(line), states=["predicted"])
    # along the edge from the right point to the middle one
    assert (solid[30:100, 10].max(axis=1) > 200).all()
    assert (dashed[30:100, 10].max(axis=1) < 30).any()
    assert 80 < dashed[30:100, 10].max() < 200
    with pytest.raises(InputError, match="2 states of 1"):
        draw_poses(picture(), one_pose(), states=["tracked", "tracked"])


def test_an_id_has_one_colour_and_others_differ_to_the_eye() -> None:
    assert id_colour(5) == id_colour(5 + len(ID_COLOURS))
    assert id_colour(-1) == CENTRE
    colours = np.array([*ID_COLOURS, LEFT, RIGHT], np.float32)[None] / 255
    lab = cv2.cvtColor(colours, cv2.COLOR_BGR2Lab)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    # CIE76: 2.3 is just noticeable
    assert apart[~np.eye(len(lab), dtype=bool)].min() > 8 * 2.3


@pytest.mark.parametrize("colour", ID_COLOURS)
def test_labels_can_be_read(colour: tuple[int, int, int]) -> None:
    def luminance(bgr: tuple[int, int, int]) -> float:
        parts = [part / 255 for part in bgr]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.0722, 0.7152, 0.2126]))

    dark, light = sorted((luminance(colour), luminance(text_colour(colour))))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


@pytest.mark.parametrize("name", ["coco133", "halpe136", "sapiens308"])
def test_small_faces_and_hands_are_hidden_and_large_ones_are_thin(name: str) -> None:
    schema = load_schema(name)
    names = common_names(schema)
    face = [k for k, each in enumerate(names) if each.startswith("face-")]
    turns = np.linspace(0, 2 * np.pi, len(face))
    ring = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    xy = np.full((1, len(schema), 2), 20, np.float32)
    scores = np.zeros((1, len(schema)), np.float32)
    body = [schema.index("left_shoulder"), schema.index("right_ankle")]
    xy[0, body] = [[20, 250], [280, 290]]
    scores[0, [*face, *body]] = 0.9

    def painted(radius_px: float) -> U8:
        xy[0, face] = radius_px * ring + 100
        boxes = np.float32([[0, 0, 300, 300]])
        ids = np.int32([-1])
        poses = Poses(xy.copy(), scores, boxes, np.ones(1, np.float32), ids, schema)
        blank = np.full((300, 300, 3), 128, np.uint8)
        return (draw_poses(blank, poses)[:200] != 128).any(axis=2)

    assert not painted(8).any()
    # the points are there, and most of the face can still be seen
    assert len(face) < painted(60).sum() < 0.3 * np.pi * 60**2


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
