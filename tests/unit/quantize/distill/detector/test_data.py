"""A detector's pictures: at rest what deployment sees, boxes that stay on their people, draws that follow the seed."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.specs import PAD_VALUE, rtmdet_spec
from edge.evaluation.coco import load_dataset
from edge.geometry import make_crops
from edge.image import crop_image, read_image
from edge.synth import draw_scene
from quantize.distill.data.augment import AT_REST, Strength
from quantize.distill.detector.data import (
    ANNOTATIONS,
    FRAMES,
    LEAST_SHARE,
    LEAST_SIDE,
    Placement,
    at_rest,
    draw_pictures,
    gallery_of,
    place,
    sample,
    strayed,
)

WH = (96, 96)
EVERYWHERE = Strength(scale=(0.5, 2.0), shift=1.0, mirror=0.5, cutout=0.0)
FRAME_SIDES = st.integers(40, 400)


def painted(box: tuple[int, int, int, int], frame_wh: tuple[int, int]) -> np.ndarray:
    """A black frame with one white rectangle."""
    frame = np.zeros((frame_wh[1], frame_wh[0], 3), np.uint8)
    left, top, right, bottom = box
    frame[top:bottom, left:right] = 255
    return frame


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    path = draw_pictures(tmp_path_factory.mktemp("scenes"), 5, 6, lambda *_: None)
    return gallery_of(load_dataset(path))


@pytest.mark.parametrize("frame_wh", [(640, 480), (301, 517), (90, 60), (96, 96)])
def test_at_rest_is_what_deployment_sees(frame_wh) -> None:
    """The very pixels, and the boxes where the deployed crop puts them."""
    scene = draw_scene(3, frame_wh, people=2)
    boxes = np.stack([person.box for person in scene.people])
    spec = rtmdet_spec("d", WH, ("person",))
    (crop,) = make_crops(boxes[:1], frame_wh, spec.crop, WH)
    nobody, _ = place(scene.image, boxes[:0], at_rest(frame_wh, WH), WH, PAD_VALUE)
    _, moved = place(scene.image, boxes, at_rest(frame_wh, WH), WH, PAD_VALUE)
    np.testing.assert_array_equal(nobody, crop_image(scene.image, crop, spec.crop))
    corners = crop.to_input(boxes.reshape(-1, 2)).reshape(-1, 4)
    kept = (corners[:, 2:] - corners[:, :2]).min(axis=1) >= LEAST_SIDE
    np.testing.assert_allclose(moved, corners[kept], atol=1e-3)


@given(
    frame_wh=st.tuples(FRAME_SIDES, FRAME_SIDES),
    scale=st.floats(0.4, 2.5),
    corner=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    mirrored=st.booleans(),
)
def test_the_box_stays_on_what_it_bounds(frame_wh, scale, corner, mirrored) -> None:
    """A white rectangle is found by its pixels where its box says: bilinear edges leave half a pixel each way."""
    width, height = frame_wh
    box = (width // 4, height // 5, width // 4 + width // 3, height // 5 + height // 2)
    size = tuple(max(round(side * scale), 1) for side in at_rest(frame_wh, WH).size)
    placement = Placement(size, corner, mirrored)
    boxes = np.array([box], np.float32)
    image, found = place(painted(box, frame_wh), boxes, placement, WH, 0)
    rows, columns = np.nonzero(image[..., 0] > 127)
    if not len(found):
        assert len(rows) == 0  # hardly anything is left: painted over
        return
    seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    # an upscaled pixel is as wide as the factor; its edge is soft
    soft = 0.5 + max(size[0] / width, size[1] / height) / 2
    assert np.abs(found[0] - seen).max() <= soft + 1e-3


def test_a_person_who_is_hardly_there_is_painted_over() -> None:
    """One tenth of it on the input: no box, and nothing of it to be seen; half of it: a box, cut at the edge."""
    box = np.array([[0, 20, 60, 80]], np.float32)
    frame = painted((0, 20, 60, 80), (96, 96))
    image, found = place(frame, box, Placement((96, 96), (-54, 0)), WH, PAD_VALUE)
    assert found.shape == (0, 4)
    assert not (image == 255).any()
    assert LEAST_SHARE > 6 / 60
    image, found = place(frame, box, Placement((96, 96), (-30, 0)), WH, PAD_VALUE)
    assert found.tolist() == [[0, 20, 30, 80]]
    assert (image[20:80, :30] == 255).all()


def test_a_person_smaller_than_four_pixels_is_nobody() -> None:
    box = np.array([[10, 10, 20, 90]], np.float32)
    _, found = place(painted((10, 10, 20, 90), WH), box, Placement((32, 32)), WH, 0)
    assert len(found) == 0


def test_mirrored_twice_is_the_first() -> None:
    scene = draw_scene(4, WH, people=2)
    boxes = np.stack([person.box for person in scene.people])
    mirror = Placement(WH, mirrored=True)
    image, moved = place(scene.image, boxes, mirror, WH, 0)
    np.testing.assert_array_equal(image, scene.image[:, ::-1])
    image, moved = place(image, moved, mirror, WH, 0)
    np.testing.assert_array_equal(image, scene.image)
    np.testing.assert_allclose(moved, boxes, atol=1e-4)


@given(seed=st.integers(0, 10**6), frame_wh=st.tuples(FRAME_SIDES, FRAME_SIDES))
def test_strayed_frames_leave_no_room_unused(seed, frame_wh) -> None:
    """A frame that fits lies within the input, one that is too large covers it."""
    placement = strayed(frame_wh, WH, EVERYWHERE, np.random.default_rng(seed))
    rest = at_rest(frame_wh, WH).size
    for axis in (0, 1):
        size, corner = placement.size[axis], placement.corner[axis]
        low, high = sorted((0, WH[axis] - size))
        assert low <= corner <= high
        assert 0.5 * rest[axis] - 1 <= size <= 2 * rest[axis] + 1


def test_at_no_strength_nothing_strays() -> None:
    for frame_wh in FRAMES:
        placement = strayed(frame_wh, WH, AT_REST, np.random.default_rng(0))
        assert placement == at_rest(frame_wh, WH)


def test_drawn_pictures_are_drawn_once(gallery, tmp_path) -> None:
    first = draw_pictures(tmp_path, 5, 3, lambda *_: None)
    when = first.stat().st_mtime_ns
    assert draw_pictures(tmp_path, 5, 3, pytest.fail) == first
    assert first.stat().st_mtime_ns == when
    again = gallery_of(load_dataset(first))
    assert [path.name for path in tmp_path.iterdir()] == ["drawn-seed5-3"]
    for row in range(3):  # picture i is the same however many are drawn
        np.testing.assert_array_equal(again.boxes[row], gallery.boxes[row])
        np.testing.assert_array_equal(read_image(again.paths[row]), read_image(gallery.paths[row]))


def test_an_interrupted_drawing_leaves_nothing(tmp_path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_pictures(tmp_path, 5, 3, stop)
    assert list(tmp_path.iterdir()) == []


def test_frames_and_files_agree(gallery) -> None:
    shapes = {cv2.imread(str(path)).shape[1::-1] for path in gallery.paths}
    assert len(shapes) > 1
    assert shapes <= set(FRAMES)
    assert all((path.parents[1] / ANNOTATIONS).is_file() for path in gallery.paths)


def test_a_sample_follows_from_its_generator(gallery) -> None:
    def draw(seed: int):
        return sample(gallery, 1, WH, PAD_VALUE, EVERYWHERE, np.random.default_rng(seed))

    (image, boxes), (same, same_boxes), (other, _) = draw(7), draw(7), draw(8)
    np.testing.assert_array_equal(image, same)
    np.testing.assert_array_equal(boxes, same_boxes)
    assert not np.array_equal(image, other)
    assert image.shape == (96, 96, 3)
    assert ((boxes >= 0) & (boxes <= 96)).all()
