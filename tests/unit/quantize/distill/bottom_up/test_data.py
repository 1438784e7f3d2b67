"""Pictures of a bottom-up model: the deployed crop, keypoints that stay on their people, mirrors, who is unlabelled."""

from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.cspnext import cspnext_ae_spec
from edge.evaluation.coco import Annotation
from edge.evaluation.dataset import Dataset, load_dataset
from edge.geometry import make_crops, whole_frame
from edge.image import crop_image
from edge.schema import load_schema
from edge.synth import draw_scene, write_dataset
from quantize.distill.bottom_up.data import load_people, load_sample, people_set
from quantize.distill.data.augment import NO_AUGMENTATION, Augmentation
from quantize.distill.data.placement import (
    ANCHORS,
    Placement,
    deployed_placement,
    paste_frame,
    place_keypoints,
    random_placement,
)
from runtimes.errors import InputError

COCO = load_schema("coco17")
WH, MAP_WH = (96, 64), (24, 16)
SPEC = cspnext_ae_spec("b", WH, "coco17")
CENTRE = ANCHORS[SPEC.crop.kind]
EVERYWHERE = Augmentation(scale=(0.5, 2.0), shift=1.0, flip_prob=0.5, cutout_prob=0.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return load_dataset(write_dataset(tmp_path_factory.mktemp("drawn") / "d", 41, 3, (160, 120)))


@pytest.mark.parametrize("frame_wh", [(160, 120), (101, 57), (57, 101), (96, 64)])
def test_without_augmentation_it_is_the_deployed_crop(frame_wh) -> None:
    """The very pixels, and keypoints where the deployed crop puts them, so that decoding undoes it."""
    scene = draw_scene(3, frame_wh, people=2)
    keypoints = np.stack([person.keypoints for person in scene.people]).astype(np.float32)
    placement = deployed_placement(frame_wh, WH, CENTRE)
    (crop,) = make_crops(whole_frame(frame_wh), frame_wh, SPEC.crop, WH)
    pasted = paste_frame(scene.image, placement, WH, SPEC.crop.pad_value)
    np.testing.assert_array_equal(pasted, crop_image(scene.image, crop, SPEC.crop))
    placed = place_keypoints(keypoints, frame_wh, placement, COCO.flip_order)
    np.testing.assert_allclose(placed[..., :2], crop.to_input(keypoints[..., :2]), atol=1e-3)
    np.testing.assert_array_equal(placed[..., 2], keypoints[..., 2])
    again = random_placement(frame_wh, WH, NO_AUGMENTATION, np.random.default_rng(0), CENTRE)
    assert again == placement


@given(
    x=st.integers(8, 51), y=st.integers(8, 31), corner=st.tuples(st.integers(-9, 30), st.integers(-9, 20)),
    flipped=st.booleans(), factor=st.sampled_from([1, 2]),
)  # fmt: skip
def test_a_keypoint_stays_on_its_pixel(x, y, corner, flipped, factor) -> None:
    """A white pixel is found where its keypoint says; a mirrored left wrist is where the right one was."""
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[y, x] = 255
    left, right = (COCO.names.index(f"{side}_wrist") for side in ("left", "right"))
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, left] = (x, y, 2)
    placement = Placement((60 * factor, 40 * factor), corner, flipped)
    image = paste_frame(frame, placement, (128, 96), 0)[..., 0].astype(float)
    placed = place_keypoints(keypoints, (60, 40), placement, COCO.flip_order)[0]
    own = placed[right if flipped else left]
    assert own[2] == 2
    assert placed[:, 2].sum() == 2
    if image.sum() < 255 * factor**2 - 1:
        return  # cut off
    rows, columns = np.indices(image.shape)
    centre = np.array([(image * columns).sum(), (image * rows).sum()]) / image.sum()
    # resizing keeps the pixel's edges in place, keypoints are scaled from pixel 0, as at inference
    np.testing.assert_allclose(own[:2], centre - (factor - 1) / 2, atol=1e-3)


def test_mirrored_twice_is_the_first() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 60, (2, 17, 3)).astype(np.float32)
    mirror = Placement(WH, flipped=True)
    once = place_keypoints(keypoints, WH, mirror, COCO.flip_order)
    assert once[0, 0, 0] == pytest.approx(95 - keypoints[0, 0, 0], abs=1e-4)  # the nose
    assert once[0, 1, 1] == pytest.approx(keypoints[0, 2, 1], abs=1e-4)  # eyes change places
    twice = place_keypoints(once, WH, mirror, COCO.flip_order)
    np.testing.assert_allclose(twice, keypoints, atol=1e-4)


def test_crowds_and_people_without_labels_are_unlabelled(dataset) -> None:
    """A crowd region with keypoints, and a person whose keypoints have no label, teach nothing."""
    first = next(iter(dataset.paths))
    own = [each for each in dataset.truth.annotations if each.image_id == first]
    crowd = Annotation(
        id="crowd", image_id=first, category_id=1, bbox=(1, 2, 30, 40), iscrowd=1,
        keypoints=own[0].keypoints,
    )  # fmt: skip
    unseen = Annotation(
        id="unseen", image_id=first, category_id=1, bbox=(50, 60, 7, 8), keypoints=(0.0,) * 51
    )
    truth = msgspec.structs.replace(
        dataset.truth, annotations=(*dataset.truth.annotations, crowd, unseen)
    )
    found = people_set([(Dataset(truth, dataset.paths), 1.0)], COCO)
    assert found.unlabelled[0].tolist() == [[1, 2, 31, 42], [50, 60, 57, 68]]
    assert len(found.keypoints[0]) == len(own)
    assert found.people == len(dataset.truth.annotations)
    assert [len(each) for each in found.unlabelled[1:]] == [0, 0]


def test_a_sample_follows_from_its_generator(dataset) -> None:
    people = people_set([(dataset, 1.0)], COCO)

    def draw(seed: int):
        rng = np.random.default_rng(seed)
        return load_sample(people, 1, WH, MAP_WH, SPEC.crop, EVERYWHERE, rng)

    (image, targets), (same, same_targets), (other, _) = draw(7), draw(7), draw(8)
    np.testing.assert_array_equal(image, same)
    np.testing.assert_array_equal(targets.heatmaps, same_targets.heatmaps)
    assert not np.array_equal(image, other)
    assert (image.shape, targets.heatmaps.shape) == ((64, 96, 3), (17, 16, 24))


def test_pictures_without_people_and_of_another_size_are_read(dataset, tmp_path) -> None:
    alone = replace(dataset, truth=msgspec.structs.replace(dataset.truth, annotations=()))
    people = people_set([(alone, 1.0)], COCO)
    rng = np.random.default_rng(0)
    _, targets = load_sample(people, 0, WH, MAP_WH, SPEC.crop, EVERYWHERE, rng)
    assert not targets.heatmaps.any()
    assert targets.bins.shape == (0, 17)
    assert cv2.imread(str(people.paths[0])).shape == (120, 160, 3)


def test_data_that_teaches_no_bottom_up_model_is_refused(dataset, tmp_path) -> None:
    path = next(iter(dataset.paths.values())).parents[1] / "person_keypoints.json"
    assert load_people([f"{path}:0.5"], COCO, 1).slices[0].weight == 0.5
    with pytest.raises(InputError, match="the student those of crowdpose14; a bottom-up model"):
        load_people([str(path)], load_schema("crowdpose14"), 1)
    with pytest.raises(InputError, match=r"learns from labelled keypoints; give a COCO\.json"):
        load_people([str(tmp_path)], COCO, 1)
    content = msgspec.json.decode(path.read_bytes())
    content["annotations"] = []
    bare = path.with_name("bare.json")
    bare.write_bytes(msgspec.json.encode(content))
    with pytest.raises(InputError, match="no person with a labelled keypoint"):
        load_people([str(bare)], COCO, 1)
