"""A detector's images: the deployed crop without augmentation, boxes that stay on their people, seeds."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.specs import PAD_VALUE, rtmdet_spec
from edge.evaluation.dataset import load_dataset
from edge.geometry import make_crops
from edge.image import crop_image, read_image
from edge.synth import draw_scene
from quantize.distill.data.augment import NO_AUGMENTATION, Augmentation
from quantize.distill.data.placement import Placement, deployed_placement, random_placement
from quantize.distill.detector.data import (
    MIN_SIDE,
    MIN_VISIBLE,
    detection_set,
    load_sample,
    place_frame,
)
from quantize.distill.detector.scenes import ANNOTATIONS, FRAMES, draw_pictures

WH = (96, 96)
EVERYWHERE = Augmentation(scale=(0.5, 2.0), shift=1.0, flip_prob=0.5, cutout_prob=0.0)
FRAME_SIDES = st.integers(40, 400)


def painted(box: tuple[int, int, int, int], frame_wh: tuple[int, int]) -> np.ndarray:
    """A black frame with one white rectangle."""
    frame = np.zeros((frame_wh[1], frame_wh[0], 3), np.uint8)
    left, top, right, bottom = box
    frame[top:bottom, left:right] = 255
    return frame


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = draw_pictures(tmp_path_factory.mktemp("scenes"), 5, 6, lambda *_: None)
    return detection_set([(load_dataset(path), 1.0)])


def test_pictures_of_both_versions_stay_apart(tmp_path) -> None:
    paths = {draw_pictures(tmp_path, 5, 1, lambda *_: None, version) for version in (1, 2)}
    assert {path.parent.name for path in paths} == {"drawn-seed5-1", "drawn-v2-seed5-1"}
    assert {path.parent.name for path in tmp_path.glob("*/images")} == {
        "drawn-seed5-1",
        "drawn-v2-seed5-1",
    }


@pytest.mark.parametrize("frame_wh", [(640, 480), (301, 517), (90, 60), (96, 96)])
def test_without_augmentation_it_is_the_deployed_crop(frame_wh) -> None:
    """The very pixels, and the boxes where the deployed crop puts them."""
    scene = draw_scene(3, frame_wh, people=2)
    boxes = np.stack([person.box for person in scene.people])
    spec = rtmdet_spec("d", WH, ("person",))
    (crop,) = make_crops(boxes[:1], frame_wh, spec.crop, WH)
    empty, _ = place_frame(scene.image, boxes[:0], deployed_placement(frame_wh, WH), WH, PAD_VALUE)
    _, moved = place_frame(scene.image, boxes, deployed_placement(frame_wh, WH), WH, PAD_VALUE)
    np.testing.assert_array_equal(empty, crop_image(scene.image, crop, spec.crop))
    corners = crop.to_input(boxes.reshape(-1, 2)).reshape(-1, 4)
    kept = (corners[:, 2:] - corners[:, :2]).min(axis=1) >= MIN_SIDE
    np.testing.assert_allclose(moved, corners[kept], atol=1e-3)


@given(
    frame_wh=st.tuples(FRAME_SIDES, FRAME_SIDES),
    scale=st.floats(0.4, 2.5),
    corner=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    flipped=st.booleans(),
)
def test_the_box_stays_on_what_it_bounds(frame_wh, scale, corner, flipped) -> None:
    """A white rectangle is found by its pixels where its box says: bilinear edges leave half a pixel each way."""
    width, height = frame_wh
    box = (width // 4, height // 5, width // 4 + width // 3, height // 5 + height // 2)
    size = tuple(max(round(side * scale), 1) for side in deployed_placement(frame_wh, WH).size)
    placement = Placement(size, corner, flipped)
    boxes = np.array([box], np.float32)
    image, found = place_frame(painted(box, frame_wh), boxes, placement, WH, 0)
    rows, columns = np.nonzero(image[..., 0] > 127)
    if not len(found):
        assert len(rows) == 0  # hardly anything is left: painted over
        return
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    # an upscaled pixel is as wide as the factor; its edge is soft
    soft = 0.5 + max(size[0] / width, size[1] / height) / 2
    assert np.abs(found[0] - seen).max() <= soft + 1e-3


def test_a_person_hardly_visible_is_painted_over() -> None:
    """One tenth of it on the input: no box, and nothing of it to be seen; half of it: a box, cut at the edge."""
    box = np.array([[0, 20, 60, 80]], np.float32)
    frame = painted((0, 20, 60, 80), (96, 96))
    image, found = place_frame(frame, box, Placement((96, 96), (-54, 0)), WH, PAD_VALUE)
    assert found.shape == (0, 4)
    assert not (image == 255).any()
    assert MIN_VISIBLE > 6 / 60
    image, found = place_frame(frame, box, Placement((96, 96), (-30, 0)), WH, PAD_VALUE)
    assert found.tolist() == [[0, 20, 30, 80]]
    assert (image[20:80, :30] == 255).all()


def test_a_person_smaller_than_four_pixels_is_dropped() -> None:
    box = np.array([[10, 10, 20, 90]], np.float32)
    _, found = place_frame(painted((10, 10, 20, 90), WH), box, Placement((32, 32)), WH, 0)
    assert len(found) == 0


def test_mirrored_twice_is_the_first() -> None:
    scene = draw_scene(4, WH, people=2)
    boxes = np.stack([person.box for person in scene.people])
    mirror = Placement(WH, flipped=True)
    image, moved = place_frame(scene.image, boxes, mirror, WH, 0)
    np.testing.assert_array_equal(image, scene.image[:, ::-1])
    image, moved = place_frame(image, moved, mirror, WH, 0)
    np.testing.assert_array_equal(image, scene.image)
    np.testing.assert_allclose(moved, boxes, atol=1e-4)


@given(seed=st.integers(0, 10**6), frame_wh=st.tuples(FRAME_SIDES, FRAME_SIDES))
def test_random_placements_leave_no_room_unused(seed, frame_wh) -> None:
    """A frame that fits lies within the input, one that is too large covers it."""
    placement = random_placement(frame_wh, WH, EVERYWHERE, np.random.default_rng(seed))
    rest = deployed_placement(frame_wh, WH).size
    for axis in (0, 1):
        size, corner = placement.size[axis], placement.corner[axis]
        low, high = sorted((0, WH[axis] - size))
        assert low <= corner <= high
        assert 0.5 * rest[axis] - 1 <= size <= 2 * rest[axis] + 1


def test_without_augmentation_the_placement_is_the_deployed_one() -> None:
    for frame_wh in FRAMES:
        placement = random_placement(frame_wh, WH, NO_AUGMENTATION, np.random.default_rng(0))
        assert placement == deployed_placement(frame_wh, WH)


def test_drawn_pictures_are_drawn_once(images, tmp_path) -> None:
    first = draw_pictures(tmp_path, 5, 3, lambda *_: None)
    when = first.stat().st_mtime_ns
    assert draw_pictures(tmp_path, 5, 3, pytest.fail) == first
    assert first.stat().st_mtime_ns == when
    again = detection_set([(load_dataset(first), 1.0)])
    assert [path.name for path in tmp_path.iterdir()] == ["drawn-seed5-3"]
    for row in range(3):  # picture i is the same however many are drawn
        np.testing.assert_array_equal(again.boxes[row], images.boxes[row])
        np.testing.assert_array_equal(read_image(again.paths[row]), read_image(images.paths[row]))


def test_an_interrupted_drawing_leaves_nothing(tmp_path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_pictures(tmp_path, 5, 3, stop)
    assert list(tmp_path.iterdir()) == []


def test_frames_and_files_agree(images) -> None:
    shapes = {cv2.imread(str(path)).shape[1::-1] for path in images.paths}
    assert len(shapes) > 1
    assert shapes <= set(FRAMES)
    assert all((path.parents[1] / ANNOTATIONS).is_file() for path in images.paths)


def test_a_sample_follows_from_its_generator(images) -> None:
    def draw(seed: int):
        return load_sample(images, 1, WH, PAD_VALUE, EVERYWHERE, np.random.default_rng(seed))

    (image, boxes), (same, same_boxes), (other, _) = draw(7), draw(7), draw(8)
    np.testing.assert_array_equal(image, same)
    np.testing.assert_array_equal(boxes, same_boxes)
    assert not np.array_equal(image, other)
    assert image.shape == (96, 96, 3)
    assert ((boxes >= 0) & (boxes <= 96)).all()
