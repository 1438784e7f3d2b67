"""Input images of the gate: crops of the deployed preprocessing, reproducible."""

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.catalog.specs import rtmdet_spec, rtmpose_spec
from edge.geometry import make_crops
from edge.image import crop_image
from edge.synth import draw_crops
from export.inputs import COUNT, drawn_inputs, gate_inputs, input_count, photo_inputs
from runtimes.errors import InputError
from runtimes.spec import TensorSpec

POSE = rtmpose_spec("rtmpose-t", (192, 256), "coco17")
DETECTOR = rtmdet_spec("rtmdet-nano", (320, 320), ("person",))


def photo(folder: Path, name: str, seed: int) -> np.ndarray:
    picture = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / name), picture)
    return picture


def person(identity: int, image: int, box: list[float], *, labelled: bool = True) -> dict:
    points = [10.0, 10.0, 2.0 if labelled else 0.0] * 17
    return {
        "id": identity, "image_id": image, "category_id": 1, "bbox": box,
        "area": 100.0, "iscrowd": 0, "keypoints": points, "num_keypoints": 17 * labelled,
    }  # fmt: skip


def test_drawn_inputs_are_crops_of_drawn_people_and_repeat() -> None:
    made = drawn_inputs(POSE, 4, seed=7)
    assert made.images.shape == (4, 256, 192, 3)
    assert made.images.dtype == np.uint8
    assert made.label == "drawn people, seed 7"
    np.testing.assert_array_equal(made.images, drawn_inputs(POSE, 4, seed=7).images)
    assert (made.images != drawn_inputs(POSE, 4, seed=8).images).any()
    for picture, (frame, box) in zip(made.images, draw_crops(7, 4), strict=True):
        (crop,) = make_crops(box.reshape(1, 4), (640, 480), POSE.crop, (192, 256))
        np.testing.assert_array_equal(picture, crop_image(frame, crop, POSE.crop))


def test_detectors_see_the_whole_frame() -> None:
    frame = np.full((48, 64, 3), 9, np.uint8)
    (picture,) = photo_inputs(DETECTOR, [(frame, np.float32([5, 5, 9, 9]))], "one").images
    assert (picture[:240] == 9).all()
    assert (picture[240:] == DETECTOR.crop.pad_value).all()


def test_without_photographs_people_are_drawn() -> None:
    for given in (None, Path("synth")):
        made = gate_inputs(POSE, given)
        assert made.label.startswith("drawn people")
        assert len(made.images) == COUNT


def test_fewer_inputs_where_outputs_are_huge() -> None:
    assert input_count(POSE) == COUNT
    maps = (TensorSpec(name="heatmap", shape=(-1, 308, 256, 192)),)
    assert input_count(msgspec.structs.replace(POSE, outputs=maps)) == 4


def test_a_directory_gives_whole_photographs(tmp_path) -> None:
    pictures = [photo(tmp_path, f"{name}.PNG", index) for index, name in enumerate("ab")]
    (tmp_path / "notes.txt").write_text("no image")
    made = gate_inputs(POSE, tmp_path)
    whole = np.float32([0, 0, 120, 90])
    wanted = photo_inputs(POSE, [(picture, whole) for picture in pictures], "")
    np.testing.assert_array_equal(made.images, wanted.images)
    assert made.label == f"photographs of {tmp_path.name}"


def test_a_coco_file_gives_the_first_labelled_person_of_each_image(tmp_path) -> None:
    (tmp_path / "images").mkdir()
    pictures = [photo(tmp_path / "images", f"{index}.png", index) for index in range(3)]
    annotations = {
        "images": [
            {"id": index, "file_name": f"{index}.png", "width": 120, "height": 90}
            for index in range(3)
        ],
        "annotations": [
            person(1, 0, [1, 1, 20, 20], labelled=False),
            person(2, 0, [30, 10, 40, 60]),
            person(3, 0, [5, 5, 9, 9]),
            person(4, 2, [50, 20, 30, 50]),
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    path = tmp_path / "people.json"
    path.write_text(json.dumps(annotations))
    made = gate_inputs(POSE, path)
    regions = [
        (pictures[0], np.float32([30, 10, 70, 70])),
        (pictures[2], np.float32([50, 20, 80, 70])),
    ]
    np.testing.assert_array_equal(made.images, photo_inputs(POSE, regions, "").images)


def test_nothing_usable_is_wrong_use(tmp_path) -> None:
    with pytest.raises(InputError, match="no images"):
        gate_inputs(POSE, tmp_path)
