"""From files to training crops: instances, keypoints that stay on their pixels, and refusals."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.geometry import make_crops
from edge.image import crop_image, read_image
from edge.schema import load_schema
from quantize.distill.data.augment import NO_AUGMENTATION, STRONG, Augmentation
from quantize.distill.data.instances import (
    Instance,
    annotated_instances,
    drawn_instances,
    unlabelled_instances,
)
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from runtimes.errors import InputError
from runtimes.spec import CropSpec

COCO = load_schema("coco17")
UDP = CropSpec(kind="affine", padding=1.25, udp=True)
WH = (96, 128)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> list[Instance]:
    return drawn_instances(tmp_path_factory.mktemp("drawn"), seed=3, pictures=4, schema=COCO)


def sampler(people: list[Instance], **changes) -> Sampler:
    return Sampler(PatchCache(people, UDP.padding, **changes), COCO, UDP, WH, seed=1)


@pytest.fixture
def dotted(tmp_path) -> list[Instance]:
    """One person whose keypoints are bright discs, each of a grey level of its own, on black."""
    frame = np.zeros((300, 300, 3), np.uint8)
    xyv = np.full((17, 3), 2, np.float32)
    cells = [(70 + 40 * (i % 5), 70 + 40 * (i // 5)) for i in range(17)]
    for row, (x, y) in enumerate(cells):
        xyv[row, :2] = x, y
        cv2.circle(frame, (x, y), 7, (50 + 12 * row,) * 3, -1)
    cv2.imwrite(str(tmp_path / "dots.png"), frame)
    box = np.array((50, 50, 250, 250), np.float32)
    return [Instance("dots", tmp_path / "dots.png", box, xyv)]


@pytest.mark.parametrize("seed", range(12))
def test_keypoints_stay_on_their_pixels(dotted, seed) -> None:
    """However a crop is turned, scaled and mirrored, under each keypoint is the disc that is its own."""
    plain = Augmentation(
        (0.8, 1.2), 80.0, 1.0, 0.1, 0.5, 0.3, "detector", (0.0, 0.0, 0.0), 0.0, 0.0
    )
    made = Sampler(PatchCache(dotted, 1.25), COCO, UDP, (288, 384), seed)
    sample = made.sample(0, 0, plain)
    names = COCO.flip_order if sample.flipped else np.arange(17)
    assert sample.weights.sum() >= 3
    for row in np.flatnonzero(sample.weights):
        x, y = np.rint(sample.xy[row]).astype(int)
        assert sample.image[y, x, 0] == pytest.approx(50 + 12 * names[row], abs=3)


def test_mirroring_is_seen_and_names_are_swapped(dotted) -> None:
    always = Augmentation((1.0, 1.0), 0.0, 0.0, 0.0, 1.0, 0.0, "none", (0.0, 0.0, 0.0), 0.0, 0.0)
    made = sampler(dotted)
    plain, flipped = (made.sample(0, 0, augmentation) for augmentation in (NO_AUGMENTATION, always))
    assert flipped.flipped
    np.testing.assert_allclose(
        flipped.xy[COCO.flip_order], (WH[0] - 1, 0) + plain.xy * (-1, 1), atol=1e-3
    )
    assert np.abs(flipped.image[:, ::-1].astype(int) - plain.image).mean() < 1


def test_without_augmentation_a_crop_is_the_deployed_one(drawn) -> None:
    made = sampler(drawn)
    for row, person in enumerate(drawn):
        frame = read_image(person.image_path)
        (crop,) = make_crops(person.box[None], frame.shape[1::-1], UDP, WH)
        wanted = crop_image(frame, crop, UDP).astype(int)
        found = made.sample(row, 0, NO_AUGMENTATION).image
        assert np.abs(found - wanted).mean() < 1.5  # compressed again
        np.testing.assert_array_equal(made.sample(row, 1, NO_AUGMENTATION).image, found)


def test_a_sample_follows_from_seed_epoch_and_row(drawn) -> None:
    one, same, other, next_epoch = (
        sampler(drawn).sample(0, 0, STRONG),
        sampler(drawn, max_bytes=0).sample(0, 0, STRONG),
        sampler(drawn).sample(1, 0, STRONG),
        sampler(drawn).sample(0, 1, STRONG),
    )
    np.testing.assert_array_equal(one.image, same.image)
    np.testing.assert_array_equal(one.xy, same.xy)
    assert not np.array_equal(one.crop.matrix, next_epoch.crop.matrix)
    assert not np.array_equal(one.crop.matrix, other.crop.matrix)


def test_unlabelled_and_cropped_away_weigh_nothing(dotted) -> None:
    xyv = dotted[0].keypoints.copy()
    xyv[3, 2] = 0
    xyv[4, :2] = 295, 295  # outside the padded box
    person = Instance("cut", dotted[0].image_path, np.array((50, 50, 150, 250), np.float32), xyv)
    weights = sampler([person]).sample(0, 0, NO_AUGMENTATION).weights
    assert weights[3] == weights[4] == 0
    assert weights[0] == 1


def test_drawn_people_are_rendered_once(drawn, tmp_path) -> None:
    first = drawn_instances(tmp_path, 3, 2, COCO)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    again = drawn_instances(tmp_path, 3, 2, COCO)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert len(times) == 2
    assert [person.key for person in first] == [person.key for person in again]


def test_pictures_alone_are_unlabelled_people(drawn) -> None:
    folder = drawn[0].image_path.parent
    people = unlabelled_instances(folder, COCO)
    assert len(people) == 4
    assert not any(person.labelled for person in people)
    np.testing.assert_array_equal(people[0].box, (0, 0, 640, 480))
    with pytest.raises(InputError, match="no images in"):
        unlabelled_instances(folder.parent, COCO)


def dataset(folder: Path, keypoints: list[float], name: str = "a.png") -> Path:
    path = folder / "people.json"
    box = [2, 2, 8, 8]
    person = {"id": 7, "image_id": 1, "category_id": 1, "bbox": box, "area": 64, "iscrowd": 0}
    content = {
        "images": [{"id": 1, "file_name": name, "width": 16, "height": 16}],
        "annotations": [person | {"keypoints": keypoints, "num_keypoints": 1}],
        "categories": [
            {"id": 1, "name": "person"}
            | ({"keypoints": COCO.names} if len(keypoints) == 51 else {})
        ],
    }
    path.write_text(json.dumps(content))
    cv2.imwrite(str(folder / "a.png"), np.zeros((16, 16, 3), np.uint8))
    return path


def test_incomplete_data_sets_are_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"no image gone\.png .* --images DIR"):
        annotated_instances(dataset(tmp_path, [4, 4, 2] * 17, "gone.png"), COCO)
    with pytest.raises(
        InputError, match="annotation 7 has 3 keypoints and its category names none"
    ):
        annotated_instances(dataset(tmp_path, [4, 4, 2] * 3), COCO)
    with pytest.raises(InputError, match="no person in it has a labelled keypoint"):
        annotated_instances(dataset(tmp_path, [0, 0, 0] * 17), COCO)
    (person,) = annotated_instances(dataset(tmp_path, [4, 5, 2] * 17), COCO)
    np.testing.assert_array_equal(person.box, (2, 2, 10, 10))
    np.testing.assert_array_equal(person.keypoints[0], (4, 5, 2))
