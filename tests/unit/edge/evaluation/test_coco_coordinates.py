"""Coordinates in COCO files that are not pixels x, y, width, height of the image."""

import json
import warnings
from pathlib import Path

import pytest

from edge.evaluation.coco import GroundTruth
from edge.evaluation.coco_file import load_ground_truth
from runtimes.errors import EdgeposeWarning, InputError


def read(folder: Path, bbox: list[float], keypoints: list[float]) -> GroundTruth:
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": bbox, "keypoints": keypoints}
    image = {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}
    file = folder / "coco.json"
    categories = [{"id": 1, "name": "person"}]
    content = {"images": [image], "annotations": [person], "categories": categories}
    file.write_text(json.dumps(content))
    return load_ground_truth(file)


def test_pixels_of_the_image_are_taken_in_silence(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # the whole image, and a keypoint that its annotator placed beyond the border
        read(tmp_path, [0, 0, 640, 480], [650, 479, 2, 0, 0, 0])


@pytest.mark.parametrize("unlabelled", [[], [0, 0, 0]], ids=["all labelled", "one unlabelled"])
def test_coordinates_normalised_by_the_image_are_refused(tmp_path: Path, unlabelled: list) -> None:
    with pytest.raises(InputError, match=r"within 0\.\.1.*multiply"):
        read(tmp_path, [0.1, 0.1, 0.5, 0.5], [0.2, 0.3, 2, 1.0, 1.0, 1, *unlabelled])


def test_corners_read_as_a_size_are_counted(tmp_path: Path) -> None:
    with pytest.warns(EdgeposeWarning, match="1 box reaches beyond its image"):
        read(tmp_path, [400, 100, 600, 400], [450, 200, 2])


def test_keypoints_of_another_image_are_counted(tmp_path: Path) -> None:
    with pytest.warns(EdgeposeWarning, match="1 person has keypoints far outside"):
        read(tmp_path, [10, 10, 100, 100], [10450, 200, 2])
