"""edgepose quantize: bad input of every kind is one line and leaves nothing; a search says what it found."""

import json
from pathlib import Path

import cv2
import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from export import Target, export_model, load_checkpoint
from export.bundled import BUNDLED
from export.inputs import drawn_inputs

NAME = "rtmdet-nano-drawn-320x320.tflite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The shipped detector in fp32 and fp16."""
    pytest.importorskip("ai_edge_litert")
    loaded = load_checkpoint(BUNDLED["rtmdet-nano-drawn"].path)
    out = tmp_path_factory.mktemp("float")
    targets = [Target("tflite", "fp32"), Target("tflite", "fp16")]
    made = export_model(loaded, targets, out, inputs=drawn_inputs(loaded.spec, 4))
    assert all(each.passed for each in made)
    return out


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Drawn scenes as files."""
    from edge.synth import draw_crops

    out = tmp_path_factory.mktemp("photographs")
    for index, (frame, _) in enumerate(draw_crops(8_000_000, 36)):
        cv2.imwrite(str(out / f"{index}.png"), frame)
    return out


def test_a_directory_of_pictures_to_an_artifact(edgepose, folder, photographs, tmp_path) -> None:
    done = edgepose(
        "quantize", folder / f"{NAME}-fp32", "--calib", photographs, "--out", tmp_path, "--json"
    )
    assert done.code == 0, done.err
    (row,) = done.json
    assert (row["runtime"], row["precision"], row["passed"]) == ("tflite", "int8", True)
    assert "15 held out, and" in row["parity"][0]["inputs"]  # 36 less 14 and 7; more were drawn
    assert row["parity"][0]["boxes"] >= 200
    low, high = row["parity"][0]["matched_interval"]
    assert 0.95 <= low < row["parity"][0]["matched"] < high <= 1
    assert edgepose("verify", row["artifact"]).code == 0
    again = edgepose("quantize", row["artifact"], "--calib", photographs, "--out", tmp_path)
    assert again.code == 2
    assert "int8 already; give the fp32 artifact" in again.message
    other = edgepose("quantize", folder / f"{NAME}-fp32", "--calib", photographs, "--out", tmp_path)
    assert other.code == 2
    assert "--force" in other.message


def test_it_lists_layers(edgepose, folder) -> None:
    done = edgepose("quantize", folder / f"{NAME}-fp32", "--layers")
    assert done.code == 0
    assert "CONV_2D" in done.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "add --calib DIR, COCO.json or synth"),
        (("--calib", "nowhere"), "no such directory or COCO.json"),
        (("--calib", "synth", "--max-ap-drop", "1"), "add --val COCO.json"),
        (("--calib", "synth", "--time-limit", "9"), "--time-limit is for --search"),
        (("--calib", "synth", "--keep", "nobody"), "no layer 'nobody'"),
    ],
)
def test_wrong_use_is_refused_in_one_line(edgepose, folder, tmp_path, more, said) -> None:
    done = edgepose("quantize", folder / f"{NAME}-fp32", *more, "--out", tmp_path / "out")
    assert done.code == 2
    assert said in done.message
    assert not list(tmp_path.glob("out/*"))


def test_too_few_pictures_are_counted(edgepose, folder, photographs, tmp_path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(photographs.iterdir())[:5]:
        (few / path.name).write_bytes(path.read_bytes())
    done = edgepose("quantize", folder / f"{NAME}-fp32", "--calib", few, "--out", tmp_path / "out")
    assert done.code == 2
    assert "5 usable pictures; int8 needs at least 32" in done.message


def test_images_without_labelled_people_are_counted(
    edgepose, folder, photographs, tmp_path
) -> None:
    names = sorted(path.name for path in photographs.iterdir())
    images = [{"id": i, "file_name": n, "width": 640, "height": 480} for i, n in enumerate(names)]
    coco = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    args = ("--calib", tmp_path / "coco.json", "--images", photographs, "--out", tmp_path / "out")
    done = edgepose("quantize", folder / f"{NAME}-fp32", *args)
    assert done.code == 2
    assert "0 usable pictures and 36 more with nobody in them" in done.message


def test_fp16_artifacts_of_tflite_are_refused(edgepose, folder, photographs, tmp_path) -> None:
    done = edgepose(
        "quantize", folder / f"{NAME}-fp16", "--calib", photographs, "--out", tmp_path / "out"
    )
    assert done.code == 2
    assert "give its fp32 artifact" in done.message


def test_a_directory_that_is_no_artifact(edgepose, photographs) -> None:
    done = edgepose("quantize", photographs, "--calib", photographs)
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
def test_a_limit_that_cannot_be_held_names_the_layers_to_blame(
    edgepose, folder, photographs, tmp_path
) -> None:
    """Static int8 of the whole network ruins it; a search finds layers, or says which cost the most."""
    args = ("--calib", photographs, "--mode", "static", "--out", tmp_path)
    plain = edgepose("quantize", folder / f"{NAME}-fp32", *args)
    if plain.code == 3:
        assert "refused, kept for study" in plain.err
        assert (tmp_path / ".rejected" / f"{NAME}-int8.report.json").exists()
        assert "--search" in plain.err
    found = edgepose("quantize", folder / f"{NAME}-fp32", *args, "--search", "--force")
    assert found.code in {0, 3}
    said = found.err
    assert ("layers left in float" in said) or ("most to blame" in said)
    if found.code == 0:
        manifest = json.loads((tmp_path / f"{NAME}-int8" / "artifact.json").read_text())
        assert any("left in float by --search" in each["reason"] for each in manifest["kept"])
    (notes,) = (tmp_path / ".search").iterdir()
    assert len(json.loads(notes.read_text())["drift"]) >= 1
