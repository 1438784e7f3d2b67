"""edgepose train, end to end on drawn people: a detector and pose models, resumed, exported, and what is refused."""

import csv
import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")
pytest.importorskip("matplotlib")
pytest.importorskip("faster_coco_eval")

from edge.synth import write_dataset

DETECTOR = ("--student", "rtmdet-nano", "--input", "64x64", "--batch", "2", "--max-steps", "3")
POSE = ("--student", "vitpose-48x2x3-simple", "--input", "48x64", "--batch", "4")

BOTTOM_UP = ("--student", "cspnext-32x1x1x1x1-fpn-ae", "--input", "64x64", "--batch", "2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A cache of its own, and a few drawn people to train and to validate on."""
    root = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEPOSE_CACHE", str(root / "cache"))
        write_dataset(root / "learn", 21, 4)
        write_dataset(root / "val", 31, 2)
        yield root


@pytest.fixture(scope="module")
def train(edgepose, home):
    """Run the command on the few people; options given later win."""

    def run(out: str, *options: str):
        data = () if "--data" in options else ("--data", str(home / "learn/person_keypoints.json"))
        val = ("--val", str(home / "val/person_keypoints.json"))
        return edgepose("train", *data, *val, "--out", str(home / out), *options)

    return run


@pytest.fixture(scope="module")
def detector(train, home) -> Path:
    done = train("detector", *DETECTOR, "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 3
    assert done.json["student"] == str(home / "detector/student.safetensors")
    assert {"ap", "ap50", "ap75", "images", "people"} < set(done.json)
    assert done.talk[-1] == f"next: edgepose export {done.json['student']} --precision fp32,fp16"
    return home / "detector"


def test_a_detectors_run_folder(detector) -> None:
    with (detector / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == list("123")
    assert float(rows[0]["loss"]) == pytest.approx(
        float(rows[0]["quality"]) + float(rows[0]["giou"])
    )
    assert (detector / "curves.png").is_file()
    result = json.loads((detector / "result.json").read_text())
    assert (result["steps"], result["pictures"]) == (3, 4)


@pytest.mark.slow
def test_a_trained_detector_is_exported_without_a_flag(edgepose, detector, home) -> None:
    out = home / "artifacts"
    done = edgepose(
        "export", detector / "student.safetensors", "--format", "onnx", "--out", out, "--json"
    )
    assert done.code == 0, done.err
    assert done.json[0]["passed"]
    manifest = json.loads((Path(done.json[0]["artifact"]) / "artifact.json").read_text())
    assert (manifest["task"], manifest["classes"]) == ("detect", ["person"])
    assert manifest["image"]["wh"] == [64, 64]


def test_a_detector_needs_boxes_only(train, home) -> None:
    """A COCO file of a detector's, without keypoints."""
    coco = json.loads((home / "learn/person_keypoints.json").read_text())
    boxes = [
        {k: v for k, v in each.items() if "keypoints" not in k} for each in coco["annotations"]
    ]
    plain = {**coco, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    path = home / "learn/instances.json"
    path.write_text(json.dumps(plain))
    done = train("boxes", *DETECTOR, "--data", f"{path}:2", "--val", str(path), "--json")
    assert done.code == 0, done.err
    assert done.json["people"] == len(boxes)


def test_a_resumed_detector_is_the_same(train, detector, home) -> None:
    """A finished run resumed writes the same file; another configuration is refused, and so is a second start."""
    path = detector / "student.safetensors"
    before = path.read_bytes()
    assert train("detector", *DETECTOR, "--resume").code == 0
    assert path.read_bytes() == before
    other = train("detector", *DETECTOR, "--resume", "--lr", "0.5")
    assert other.code == 2
    assert "started with lr 0.0007071, not 0.5" in other.message
    twice = train("detector", *DETECTOR)
    assert twice.code == 2
    assert "holds a training run; resume it with --resume" in twice.message


def test_a_detector_starts_from_a_checkpoint(train, detector) -> None:
    """Its licence terms come along; a checkpoint of another size is refused."""
    init = ("--init", str(detector / "student.safetensors"))
    assert train("tuned", *DETECTOR, *init, "--max-steps", "1").code == 0
    other = train("larger", *DETECTOR, *init, "--student", "rtmdet-tiny")
    assert other.code == 2
    assert "holds rtmdet-nano, the student is rtmdet-tiny" in other.message


def test_a_pose_model_without_a_teacher(train, home) -> None:
    views = ("--augment", "gentle", "--jitter", "detector", "--jitter-start", ".5")
    done = train("pose", *POSE, "--max-steps", "2", *views)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].split()[:3] == ["student", "steps", "AP"]
    with (home / "pose/log.csv").open() as stream:
        assert list(next(csv.DictReader(stream)))[:3] == ["step", "loss", "truth"]
    stored = json.loads((home / "pose/recipe.json").read_text())
    assert (stored["views"], stored["jitter"], stored["jitter_start"]) == (
        "gentle",
        "detector",
        0.5,
    )


def test_the_best_weights_are_kept_and_training_stops_without_better_ones(train, home) -> None:
    """At a learning rate of nearly nothing the first validation stays the best: two more, and it ends."""
    still = (*POSE, "--lr", "1e-12", "--ema", "0", "--validate-every", "1")
    done = train("patient", *still, "--max-steps", "9", "--patience", "2", "--json")
    assert done.code == 0, done.err
    folder = home / "patient"
    with (folder / "marks.csv").open() as stream:
        marks = list(csv.DictReader(stream))
    result = json.loads((folder / "result.json").read_text())
    best = max(marks, key=lambda row: (float(row["ap"]), float(row["pck"]), -int(row["step"])))
    assert result["kept_step"] == int(best["step"])
    assert done.json["steps"] == result["steps"] == int(best["step"]) + 2
    assert (folder / "student.safetensors").read_bytes() == (
        folder / "best.safetensors"
    ).read_bytes()
    assert done.json["pck"] == float(best["pck"])


def test_a_finished_run_is_extended(edgepose, train, home) -> None:
    """With its own settings where none are given, validation set included; never to fewer steps than it has made."""
    first = train("longer", *POSE, "--max-steps", "3", "--keep", "last", "--lr", "2e-3")
    assert first.code == 0, first.err
    fewer = train("longer", *POSE, "--resume", "--max-steps", "2")
    assert fewer.code == 2
    assert "has made 3 steps already; give --max-steps 3 or more" in fewer.message
    out = ("--out", str(home / "longer"), "--resume")
    done = edgepose("train", *POSE, *out, "--max-steps", "5", "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 5
    val = json.loads((home / "val/person_keypoints.json").read_text())
    assert done.json["people"] == sum(each["num_keypoints"] > 0 for each in val["annotations"])
    other = edgepose("train", *POSE, *out, "--val", str(home / "learn/person_keypoints.json"))
    assert other.code == 2
    assert "was started with val" in other.message
    with (home / "longer/log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == list("12345")
    recipe = json.loads((home / "longer/recipe.json").read_text())
    assert (recipe["steps"], recipe["keep"], recipe["lr"]) == (5, "last", 2e-3)
    assert json.loads((home / "longer/result.json").read_text())["kept_step"] == 5


@pytest.fixture(scope="module")
def bottom_up(train, home) -> Path:
    done = train("bottom-up", *BOTTOM_UP, "--max-steps", "10", "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] == 10
    assert {"ap", "ap50", "ap75", "ar", "images", "people"} < set(done.json)
    assert done.talk[-1] == f"next: edgepose export {done.json['student']} --precision fp32,fp16"
    return home / "bottom-up"


def test_a_bottom_up_models_run_folder(bottom_up) -> None:
    with (bottom_up / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 11)]
    assert all(
        float(row["loss"])
        == pytest.approx(sum(float(row[name]) for name in ("heatmap", "pull", "push")))
        for row in rows
    )
    result = json.loads((bottom_up / "result.json").read_text())
    truth = json.loads((bottom_up.parent / "learn/person_keypoints.json").read_text())
    assert (result["pictures"], result["people"]) == (4, len(truth["annotations"]))


def test_a_bottom_up_model_is_resumed_and_starts_another(train, bottom_up, home) -> None:
    """A finished run resumed writes the same file; a top-down student's backbone is taken by --init."""
    path = bottom_up / "student.safetensors"
    before = path.read_bytes()
    assert train("bottom-up", *BOTTOM_UP, "--resume").code == 0
    assert path.read_bytes() == before
    top_down = ("--student", "cspnext-32x1x1x1x1-fpn", "--input", "64x64", "--batch", "2")
    done = train("taken", *top_down, "--max-steps", "1", "--init", str(path))
    assert done.code == 0, done.err
    init = json.loads((home / "taken/init.json").read_text())
    assert all(name.startswith("head.") for name in init["left"])
    assert any(name.startswith("backbone.") for name in init["taken"])


@pytest.mark.slow
def test_a_trained_bottom_up_model_is_exported_without_a_flag(edgepose, bottom_up, home) -> None:
    out = home / "artifacts"
    done = edgepose(
        "export", bottom_up / "student.safetensors", "--format", "onnx", "--out", out, "--json"
    )
    assert done.code == 0, done.err
    manifest = json.loads((Path(done.json[0]["artifact"]) / "artifact.json").read_text())
    assert (manifest["task"], manifest["codec"]["kind"]) == ("pose-bottomup", "ae")
    assert manifest["lineage"]["trained_on"] == "unknown"


REFUSED = {
    "unknown student": (("--student", "openpose-x"), "'openpose-x' cannot be a student"),
    "unknown detector": (("--student", "rtmdet-huge"), "known: rtmdet-nano, rtmdet-tiny"),
    "an input between strides": (
        ("--student", "rtmdet-nano", "--input", "100x64"),
        "multiples of 32",
    ),
    "keypoints of a detector": (
        ("--student", "rtmdet-nano", "--keypoints", "coco17"),
        "--keypoints is for pose models",
    ),
    "drop path of a detector": (
        ("--student", "rtmdet-nano", "--drop-path", "0.1"),
        "--drop-path is for pose models",
    ),
    "a frozen part of a detector": (
        ("--student", "rtmdet-nano", "--freeze", "backbone"),
        "--freeze is for pose models",
    ),
    "no bottom-up model": (("--student", "rtmpose-t-ae"), "is no bottom-up model"),
    "bottom-up integral regression": (
        ("--student", "vitpose-32x2x2-ae-integral", "--input", "64x64"),
        "is no bottom-up model",
    ),
    "a bottom-up input between strides": (
        ("--student", "cspnext-t-fpn-ae", "--input", "100x64"),
        "multiples of 32",
    ),
    "box jitter of whole pictures": (
        (*BOTTOM_UP, "--jitter", "detector"),
        "--jitter is for top-down pose models; leave it out to train a bottom-up one",
    ),
    "augmentation of crops": (
        (*BOTTOM_UP, "--augment", "weak"),
        "--augment is for top-down pose models",
    ),
    "a further head of a bottom-up model": (
        (*BOTTOM_UP, "--extra-head", "crowdpose14"),
        "--extra-head is for top-down pose models",
    ),
    "other keypoints than the pictures'": (
        (*BOTTOM_UP, "--keypoints", "crowdpose14"),
        "the student those of crowdpose14",
    ),
    "bottom-up pictures without labels": (
        (*BOTTOM_UP, "--data", "IMAGES"),
        "a bottom-up model learns from labelled keypoints",
    ),
    "pictures without boxes": (
        ("--student", "rtmdet-nano", "--data", "IMAGES"),
        "a detector learns from labelled boxes",
    ),
    "pose pictures without labels": (
        (*POSE, "--data", "IMAGES"),
        "--data has no labels and there is no teacher",
    ),
    "missing data": (("--student", "rtmdet-nano", "--data", "no.json"), "cannot read no.json"),
    "nothing to resume": (
        ("--student", "rtmdet-nano", "--resume"),
        "no training run to resume",
    ),
}


def test_a_missing_tensorboard_is_named(train, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    done = train("events", *POSE, "--tensorboard")
    assert done.code == 4
    assert "edgepose[train]" in done.message


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_line_and_leaves_no_state(train, home, case) -> None:
    options, said = REFUSED[case]
    places = {"IMAGES": str(home / "learn/images")}
    out = f"refused-{case.replace(' ', '-')}"
    done = train(out, *(places.get(option, option) for option in options))
    assert done.code == 2
    assert said in done.message
    assert not (home / out / "state.pt").exists()


def test_a_pose_folder_is_not_resumed_as_a_detector(train, home) -> None:
    train("mixed", *POSE, "--max-steps", "1")
    done = train("mixed", *DETECTOR, "--resume")
    assert done.code == 2
    assert "was started with student 'vitpose-48x2x3-simple', not 'rtmdet-nano'" in done.message
