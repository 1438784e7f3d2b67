"""COCO files: what is read, what is refused and why, and where images are looked for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.evaluation.coco import as_results, boxes_xyxy, keypoints_xyv, people_by_image, subset
from edge.evaluation.coco_file import load_ground_truth
from edge.evaluation.dataset import find_images, load_dataset
from runtimes.errors import InputError

MINIMAL: dict[str, Any] = {
    "info": {"anything": True},
    "images": [{"id": 7, "file_name": "val/a.jpg", "width": 10, "height": 8, "license": 3}],
    "annotations": [
        {
            "id": 1,
            "image_id": 7,
            "category_id": 1,
            "bbox": [1, 2, 3, 4],
            "area": 6.5,
            "iscrowd": 0,
            "keypoints": [1, 2, 2, 0, 0, 0],
            "segmentation": {"counts": "x", "size": [8, 10]},
        },
        {
            "id": 2,
            "image_id": 7,
            "category_id": 1,
            "bbox": [0, 0, 9, 9],
            "iscrowd": 1,
            "keypoints": [0] * 6,
        },
        {"id": 3, "image_id": 7, "category_id": 18, "bbox": [0, 0, 2, 2]},
    ],
    "categories": [
        {"id": 1, "name": "person", "keypoints": ["nose", "tail"]},
        {"id": 18, "name": "dog"},
    ],
}


def write(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps(MINIMAL | (changes or {})))
    return path


def test_reads_people_boxes_and_keypoints(tmp_path: Path) -> None:
    truth = load_ground_truth(write(tmp_path))
    people = people_by_image(truth)
    assert [each.id for each in people[7]] == [1]
    assert boxes_xyxy(people[7]).tolist() == [[1, 2, 4, 6]]
    assert keypoints_xyv(people[7]).tolist() == [[[1, 2, 2], [0, 0, 0]]]
    assert [each.labelled for each in truth.annotations] == [True, False, False]


def test_an_image_without_people_has_empty_arrays() -> None:
    assert boxes_xyxy([]).shape == (0, 4)
    assert keypoints_xyv([]).dtype == np.float32


def test_subset_takes_images_and_their_annotations(real: Path) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    part = subset(truth, [785, 40083])
    assert [each.id for each in part.images] == [785, 40083]
    assert len(part.annotations) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "annotation 1 is of image 7"),
        (
            {"images": [*MINIMAL["images"], MINIMAL["images"][0] | {"file_name": "other.png"}]},
            "image id 7 occurs twice, as .* and other.png",
        ),
        (
            {"annotations": [MINIMAL["annotations"][0] | {"bbox": [1, 2, 3]}]},
            r"annotations\[0\]\.bbox",
        ),
        ({"annotations": [MINIMAL["annotations"][0] | {"keypoints": [1, 2]}]}, "triplets"),
        ({"annotations": [MINIMAL["annotations"][0] | {"area": "big"}]}, r"\.area"),
        ({"annotations": [MINIMAL["annotations"][0] | {"iscrowd": 2}]}, r"\.iscrowd"),
        ({"categories": None}, r"\.categories"),
    ],
)
def test_malformed_files_are_refused_with_the_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_ground_truth(write(tmp_path, changes))


def test_copies_count_once_and_people_of_one_id_are_told_apart(tmp_path: Path) -> None:
    """Of an id that occurs twice, pycocotools would count the last person twice and the first not at all."""
    first = MINIMAL["annotations"][0]
    moved = first | {"bbox": [2, 2, 3, 4]}
    changes = {"images": MINIMAL["images"] * 2, "annotations": [first, moved, first, moved]}
    said = "1 image is listed twice; 2 annotations are there twice and count once; 1 annotation has another's id"
    with pytest.warns(UserWarning, match=said):
        truth = load_ground_truth(write(tmp_path, changes))
    assert len(truth.images) == 1
    assert [(each.id, each.bbox[0]) for each in truth.annotations] == [(1, 1), ("1#2", 2)]


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*absent\.json"):
        load_ground_truth(tmp_path / "absent.json")
    (tmp_path / "image.json").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match="is no COCO annotation file"):
        load_ground_truth(tmp_path / "image.json")


def test_results_are_checked() -> None:
    good = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 1, 1], "track_id": 4}
    assert as_results([good])[0].bbox == (0, 0, 1, 1)
    with pytest.raises(InputError, match="score"):
        as_results([{"image_id": 1}])


@pytest.mark.parametrize("place", ["val/a.jpg", "a.jpg", "images/val/a.jpg", "images/a.jpg"])
def test_images_are_found_beside_the_file_or_in_images(tmp_path: Path, place: str) -> None:
    path = write(tmp_path)
    image = tmp_path / place
    image.parent.mkdir(parents=True, exist_ok=True)
    image.touch()
    assert load_dataset(path).paths == {7: image}


def test_images_dir_is_searched_alone(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "a.jpg").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    truth = load_ground_truth(path)
    with pytest.raises(InputError, match=r"no image val/a\.jpg .*elsewhere; .*--images DIR"):
        find_images(truth, path, elsewhere)
    (elsewhere / "a.jpg").touch()
    assert find_images(truth, path, elsewhere) == {7: elsewhere / "a.jpg"}


def test_real_files_find_their_images(real: Path) -> None:
    assert len(load_dataset(real / "coco-mini/person_keypoints.json").paths) == 80
    assert len(load_dataset(real / "mmpose-coco/test_coco.json").paths) == 4
