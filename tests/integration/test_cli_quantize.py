"""edgepose quantize: artifacts and exit codes; bad input of every kind is one line and leaves nothing behind.

Verdicts have a wide margin, so that they hold on every CPU: int8 computes a network of one convolution without error,
and ruins a detector that was calibrated on black images.
"""

import json
import shutil
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge.parity.boxes import MIN_BOXES
from runtimes.artifact import Artifact
from runtimes.files import seal

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

DETECTOR = "rtmdet-nano-drawn-320x320.tflite"


@pytest.fixture(scope="module")
def small(small_artifact, tmp_path_factory) -> Path:
    """A network whose keypoints are the blue and the red square of an image."""
    root = tmp_path_factory.mktemp("small") / "small-32x32.onnxruntime-fp32"
    return small_artifact(root).root


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Path:
    """36 images with a blue and a red square on the cells that the small network averages."""
    out = tmp_path_factory.mktemp("squares")
    for index in range(36):
        image = np.zeros((8, 8, 3), np.uint8)
        row, column = divmod(index, 8)
        image[row, column, 0] = image[7 - row, 7 - column % 7, 2] = 255
        cv2.imwrite(str(out / f"{index}.png"), image.repeat(4, axis=0).repeat(4, axis=1))
    return out


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """36 images without a clear peak: the small network decides no keypoint."""
    out = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for index in range(36):
        cv2.imwrite(str(out / f"{index}.png"), rng.integers(0, 256, (32, 32, 3), np.uint8))
    return out


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """36 drawn scenes as files."""
    from edge.synth import draw_crops

    out = tmp_path_factory.mktemp("photographs")
    for index, (frame, _) in enumerate(draw_crops(8_000_000, 36)):
        cv2.imwrite(str(out / f"{index}.png"), frame)
    return out


@pytest.fixture(scope="module")
def dark(tmp_path_factory) -> Path:
    """36 images that are nearly black."""
    out = tmp_path_factory.mktemp("dark")
    rng = np.random.default_rng(0)
    for index in range(36):
        cv2.imwrite(str(out / f"{index}.png"), rng.integers(0, 8, (64, 64, 3), np.uint8))
    return out


@pytest.fixture(scope="module")
def detector(bundled_detector) -> Artifact:
    """The detector of the package on TFLite."""
    return bundled_detector("tflite")


def test_a_directory_of_images_to_an_artifact(edgepose, small, squares, tmp_path) -> None:
    done = edgepose("quantize", small, "--calib", squares, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    (row,) = done.json
    assert (row["runtime"], row["precision"], row["passed"]) == ("onnxruntime", "int8", True)
    assert row["parity"][0]["basis"] == "px"
    assert row["parity"][0]["inputs"].endswith("15 held out")  # 36 less 14 and 7
    assert edgepose("verify", row["artifact"]).code == 0
    again = edgepose("quantize", row["artifact"], "--calib", squares, "--out", tmp_path)
    assert again.code == 2
    assert "int8 already; give the fp32 artifact" in again.message
    other = edgepose("quantize", small, "--calib", squares, "--out", tmp_path)
    assert other.code == 2
    assert "--force" in other.message


def test_what_cannot_be_judged_is_refused_and_kept_with_a_report(
    edgepose, small, noise, tmp_path
) -> None:
    done = edgepose("quantize", small, "--calib", noise, "--out", tmp_path)
    assert done.code == 3
    assert "under half of its keypoints" in done.err
    assert "add --val COCO.json" in done.err
    rejected = tmp_path / ".rejected"
    assert [path.name for path in tmp_path.iterdir()] == [rejected.name]
    name = "small-32x32.onnxruntime-int8"
    assert (rejected / name / "artifact.json").exists()
    (record,) = json.loads((rejected / f"{name}.report.json").read_text())
    assert (record["basis"], record["limit"]) == ("raw", None)


def test_it_lists_layers(edgepose, detector) -> None:
    done = edgepose("quantize", detector.root, "--layers")
    assert done.code == 0
    assert "CONV_2D" in done.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "add --calib DIR, COCO.json or synth"),
        (("--calib", "nowhere"), "no such directory or COCO.json"),
        (("--calib", "synth", "--max-ap-drop", "1"), "add --val COCO.json"),
        (("--calib", "synth", "--time-limit", "9"), "--time-limit is for --search"),
        (("--calib", "synth", "--keep", "nobody"), "no layer 'nobody'"),
    ],
)
def test_invalid_options(edgepose, small, tmp_path, more, message) -> None:
    done = edgepose("quantize", small, *more, "--out", tmp_path / "out")
    assert done.code == 2
    assert message in done.message
    assert not list(tmp_path.glob("out/*"))


def test_too_few_images_are_counted(edgepose, small, squares, tmp_path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(squares.iterdir())[:5]:
        shutil.copy(path, few)
    done = edgepose("quantize", small, "--calib", few, "--out", tmp_path / "out")
    assert done.code == 2
    assert "5 usable images; int8 needs at least 32" in done.message


def test_images_without_a_labelled_person_are_counted(edgepose, small, squares, tmp_path) -> None:
    names = sorted(path.name for path in squares.iterdir())
    images = [{"id": i, "file_name": n, "width": 32, "height": 32} for i, n in enumerate(names)]
    coco = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    args = ("--calib", tmp_path / "coco.json", "--images", squares, "--out", tmp_path / "out")
    done = edgepose("quantize", small, *args)
    assert done.code == 2
    assert "0 usable images and 36 more without a person" in done.message


def test_float16_weights_of_tflite_are_refused(edgepose, detector, squares, tmp_path) -> None:
    half = tmp_path / f"{DETECTOR}-fp16"
    shutil.copytree(detector.root, half)
    seal(half, msgspec.structs.replace(detector.manifest, precision="fp16"))
    done = edgepose("quantize", half, "--calib", squares, "--out", tmp_path / "out")
    assert done.code == 2
    assert "give its fp32 artifact" in done.message


def test_a_directory_that_is_no_artifact(edgepose, squares) -> None:
    done = edgepose("quantize", squares, "--calib", squares)
    assert done.code == 2
    assert "not an artifact" in done.message


def test_random_weights_are_refused_in_one_step(edgepose, tmp_path) -> None:
    done = edgepose(
        *("export", "rtmpose-t", "--weights", "random", "--precision", "int8"),
        *("--calib", "synth", "--format", "onnx", "--out", tmp_path / "out"),
    )
    assert done.code == 2
    assert "int8 of random weights cannot be judged" in done.message
    assert not list(tmp_path.glob("out/*"))


@pytest.mark.slow
def test_a_ruined_detector_is_refused(edgepose, detector, dark, tmp_path) -> None:
    """Calibrated on images that are nearly black, static int8 finds next to nothing in others."""
    done = edgepose(
        *("quantize", detector.root, "--calib", dark, "--mode", "static", "--out", tmp_path)
    )
    assert done.code == 3
    assert "refused, kept for study" in done.err
    assert "--search" in done.err
    (record,) = json.loads((tmp_path / ".rejected" / f"{DETECTOR}-int8.report.json").read_text())
    assert "15 held out, and" in record["inputs"]  # without people: images were drawn
    assert record["boxes"] >= MIN_BOXES
    assert record["matched_interval"][1] < 0.5
    assert f"{record['matched']:.1%} of {record['boxes']} boxes matched" in done.err
    assert "(limit 95%)" in done.err


@pytest.mark.slow
def test_a_search_finds_layers_or_names_the_most_sensitive(
    edgepose, detector, photographs, tmp_path
) -> None:
    args = ("--calib", photographs, "--mode", "static", "--search", "--out", tmp_path)
    found = edgepose("quantize", detector.root, *args)
    assert found.code in {0, 3}
    assert ("layers left in float" in found.err) or ("the most sensitive" in found.err)
    if found.code == 0:
        manifest = json.loads((tmp_path / f"{DETECTOR}-int8" / "artifact.json").read_text())
        assert any("left in float by --search" in each["reason"] for each in manifest["kept"])
    (trials,) = (tmp_path / ".search").iterdir()
    assert len(json.loads(trials.read_text())["drift"]) >= 1
