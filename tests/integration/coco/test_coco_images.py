"""Images of a COCO file: orientation, size, names that collide, folders and broken files."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from edge.evaluation.dataset import load_dataset
from edge.schema import KeypointSchema
from export.inputs import gate_inputs
from quantize.int8.calibration import gather_sets
from runtimes.artifact import Artifact
from runtimes.errors import EdgeposeWarning, InputError, SourceError

COUNT = 34
TWO = KeypointSchema("two", ("blue", "red"), (), (), (0.1, 0.1))
File = dict[str, Any]


def exif(path: Path, orientation: int) -> None:
    """Mark a JPEG as to be turned."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    segment = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    jpeg = path.read_bytes()
    marker = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    path.write_bytes(jpeg[:2] + marker + segment + jpeg[2:])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("annotated", ["stored", "turned"])
def test_images_are_read_as_they_were_annotated(
    tmp_path: Path, orientation: int, annotated: str
) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:10, :10] = 255
    cv2.imwrite(str(tmp_path / "a.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 100])
    exif(tmp_path / "a.jpg", orientation)
    stored = cv2.imread(str(tmp_path / "a.jpg"), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    turned = cv2.imread(str(tmp_path / "a.jpg"))
    assert (turned.shape == stored.shape) == (orientation < 5)
    wanted = stored if annotated == "stored" or orientation < 5 else turned
    height, width = wanted.shape[:2]
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(truth))
    np.testing.assert_array_equal(load_dataset(tmp_path / "a.json").image(1), wanted)
    truth["images"][0]["width"] += 1
    (tmp_path / "a.json").write_text(json.dumps(truth))
    with pytest.raises(
        SourceError, match=rf"a\.jpg: the file is 60x40, the annotation says {width + 1}x"
    ):
        load_dataset(tmp_path / "a.json").image(1)


def test_images_of_another_size_are_refused(
    place: Path, figures: Callable[..., Any], tmp_path: Path
) -> None:
    for path in (place / "images").iterdir():
        cv2.imwrite(
            str(tmp_path / path.name), cv2.resize(cv2.imread(str(path)), None, fx=0.5, fy=0.5)
        )
    done = figures(place / "control.json", "--images", tmp_path)
    assert done.code == 2
    assert "0.png: the file is 48x32, the annotation says 96x64" in done.message


def test_names_that_lead_to_one_file_are_refused(
    control: Callable[[], File], place: Path, tmp_path: Path
) -> None:
    truth = control()
    for number, image in enumerate(truth["images"]):
        image["file_name"] = f"cam{number % 2}/{number // 2}.png"
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(truth))
    with pytest.raises(InputError, match=r"cam0/0\.png and cam1/0\.png are both found as .*0\.png"):
        load_dataset(path, place / "images")


def test_folders_of_images_are_read_alike_by_every_verb(place: Path, tmp_path: Path) -> None:
    for path in (place / "images").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "._0.png").write_bytes(b"\0\5\x16\7")
    spec = Artifact.open(place / "pose").manifest
    clean = gather_sets(spec, place / "images")
    assert gather_sets(spec, tmp_path).sha256 == clean.sha256
    (tmp_path / "0-broken.png").write_bytes((place / "images" / "0.png").read_bytes()[:90])
    said = rf"{tmp_path}: 1 of {COUNT + 2} images cannot be read: 0-broken\.png"
    with pytest.warns(EdgeposeWarning, match=said):
        assert gather_sets(spec, tmp_path).sha256 == clean.sha256
    with pytest.warns(EdgeposeWarning, match=said):
        np.testing.assert_array_equal(
            gate_inputs(spec, tmp_path).images, gate_inputs(spec, place / "images").images
        )
    pytest.importorskip("torch")
    from quantize.distill.data.sources import load_training_set

    with pytest.warns(EdgeposeWarning, match=said):
        assert len(load_training_set([str(tmp_path)], TWO, drawn=2).instances) == COUNT + 1


def test_a_data_set_names_the_image_that_is_broken(
    place: Path, figures: Callable[..., Any], tmp_path: Path
) -> None:
    for path in (place / "images").iterdir():
        (tmp_path / path.name).write_bytes(
            path.read_bytes()[: 200 if path.name == "7.png" else None]
        )
    done = figures(place / "control.json", "--images", tmp_path)
    assert done.code == 2
    assert f"{tmp_path / '7.png'} is no image that OpenCV can decode" in done.message
