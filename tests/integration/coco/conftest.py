"""A plain COCO file of people with two keypoints, a blue and a red square, and a network that finds those."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from runtimes.artifact import Artifact

COUNT, WH, SIDE = 34, (96, 64), 32
File = dict[str, Any]


def make_control() -> File:
    """34 images of two people each, and one of none; keypoints are some pixels beside what the network finds."""
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for index in range(COUNT):
        images.append({"id": index + 1, "file_name": f"{index}.png", "width": 96, "height": 64})
        for person in range(2):
            x, y = 8 + 48 * person, int(rng.integers(0, 16)) * 2
            blue, red = rng.integers(0, 8, (2, 2)) * 4
            off = rng.integers(0, 5, 2)
            points = np.add((blue + off, red + off[::-1]), (x, y)).tolist()
            annotations.append(
                {
                    "id": 2 * index + person + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x, y, SIDE, SIDE],
                    "area": 0.53 * SIDE * SIDE,
                    "iscrowd": 0,
                    "num_keypoints": 2,
                    "keypoints": [*points[0], 2, *points[1], 2],
                    "segmentation": [],
                    "squares": [blue.tolist(), red.tolist()],
                }
            )  # fmt: skip
    images.append({"id": COUNT + 1, "file_name": "empty.png", "width": 96, "height": 64})
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": ["blue", "red"]}],
    }


def draw(folder: Path) -> None:
    truth = make_control()
    rng = np.random.default_rng(1)
    folder.mkdir()
    for image in truth["images"]:
        picture = np.zeros((WH[1], WH[0], 3), np.uint8)
        picture[..., 1] = rng.integers(0, 255, (WH[1], WH[0]))  # so that no two images are the same
        for each in truth["annotations"]:
            if each["image_id"] == image["id"]:
                x, y = each["bbox"][:2]
                for channel, (dx, dy) in zip((0, 2), each["squares"], strict=True):
                    picture[y + dy : y + dy + 4, x + dx : x + dx + 4, channel] = 255
        cv2.imwrite(str(folder / image["file_name"]), picture)


@pytest.fixture(scope="session")
def control() -> Callable[[], File]:
    """Make the file's content, to be changed."""
    return make_control


@pytest.fixture(scope="session")
def place(
    tmp_path_factory: pytest.TempPathFactory, small_artifact: Callable[..., Artifact]
) -> Path:
    """A folder with the network's artifact, the images, and the control file."""
    folder = tmp_path_factory.mktemp("kinds")
    small_artifact(folder / "pose")
    draw(folder / "images")
    (folder / "control.json").write_text(json.dumps(make_control()))
    return folder


@pytest.fixture(scope="session")
def figures(place: Path, edgepose: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate the network on a file: how the command ended."""

    def run(path: Path, *more: object) -> Any:
        return edgepose("eval", place / "pose", "--annotations", path, "--json", *more)

    return run


@pytest.fixture(scope="session")
def expected(place: Path, figures: Callable[..., Any]) -> dict[str, Any]:
    """The control's figures; an AP that differs where people or boxes do."""
    found = figures(place / "control.json").json
    assert 0.2 < found["AP"] < 0.9
    return found
