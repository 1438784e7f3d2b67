"""edgepose label: pseudo-labels as a COCO data set, and that the other verbs read them."""

import json

import numpy as np
import pytest

from edge.model import load
from edge.schema import load_schema
from edge.synth import write_dataset

COCO = load_schema("coco17")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("label") / "drawn", 61, 6).parent / "images"


@pytest.fixture(scope="module")
def labels(edgepose, pose, detector, pictures):
    """Pseudo-labels of everyone whom the detector finds, beside the pictures."""
    out = pictures.parent / "labels.json"
    done = edgepose(
        *("label", pictures, "--pose", pose.path, "--detector", detector.path, "--out", out),
        *("--min-score", 0, "--min-keypoint-score", 0, "--licence", "CC-BY-4.0", "--json"),
    )
    assert done.code == 0, done.err
    return out, done


def test_the_file_is_a_coco_data_set_with_scores(labels, pose, pictures) -> None:
    out, done = labels
    content = json.loads(out.read_text())
    (category,) = content["categories"]
    assert category["keypoints"] == list(COCO.names)
    assert done.json["images"] == len(content["images"]) == 6
    assert done.json["people"] == len(content["annotations"]) > 0
    assert content["images"][0] == {
        "id": 1, "file_name": "images/000000.jpg", "width": 640, "height": 480, "license": 1,
    }  # fmt: skip
    assert content["licenses"][0]["name"] == "CC-BY-4.0"
    assert [each["role"] for each in content["info"]["models"]] == ["pose", "detector"]
    assert done.talk[0].startswith(f"wrote {out} (6 images, ")
    assert done.talk[-1] == f"next: edgepose train --student rtmpose-t --data {out}"
    person = content["annotations"][0]
    x, y, width, height = person["bbox"]
    with load(pose.path) as model:
        box = np.array([[x, y, x + width, y + height]], np.float32)
        poses = model.poses(pictures / "000000.jpg", box)
    triplets = np.array(person["keypoints"]).reshape(-1, 3)
    np.testing.assert_allclose(triplets[:, :2], poses.xy[0], atol=0.6)  # a box of 2 decimals
    np.testing.assert_allclose(person["keypoint_scores"], poses.scores[0], atol=0.05)
    assert person["score"] == pytest.approx(np.mean(person["keypoint_scores"]), abs=1e-3)


def test_the_model_that_labelled_is_right_by_its_own_labels(edgepose, labels, pose) -> None:
    pytest.importorskip("faster_coco_eval")
    out, _ = labels
    done = edgepose("eval", pose.path, "--annotations", out, "--pose-nms", "none", "--json")
    assert done.code == 0, done.err
    assert done.json["AP"] == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_limits_leave_out_people_and_keypoints(
    edgepose, labels, pose, detector, pictures, tmp_path
) -> None:
    everyone = json.loads(labels[0].read_text())["annotations"]
    scores = sorted(each["score"] for each in everyone)
    middle = (scores[len(scores) // 2 - 1] + scores[len(scores) // 2]) / 2
    points = np.concatenate([each["keypoint_scores"] for each in everyone])
    limit = float(np.median(points)) + 1e-4
    done = edgepose(
        *("label", pictures, "--pose", pose.path, "--detector", detector.path),
        *("--out", tmp_path / "a.json", "--min-score", middle, "--min-keypoint-score", limit),
    )
    assert done.code == 0, done.err
    kept = json.loads((tmp_path / "a.json").read_text())
    assert [each["score"] for each in kept["annotations"]] == [
        each["score"] for each in everyone if each["score"] >= middle
    ]
    assert "below --min-score left out" in done.talk[0]
    for each in kept["annotations"]:
        visible = np.array(each["keypoints"])[2::3] > 0
        np.testing.assert_array_equal(visible, np.array(each["keypoint_scores"]) >= limit)
        assert each["num_keypoints"] == visible.sum()
    assert done.talk[-1].endswith(f"--images {pictures}")


def test_students_are_trained_on_them_with_their_licence(labels) -> None:
    pytest.importorskip("torch")
    from quantize.distill.data.sources import load_annotated

    people = load_annotated(labels[0], load_schema("body26"))
    content = json.loads(labels[0].read_text())
    assert len(people) == len(content["annotations"])
    wanted = np.array(content["annotations"][0]["keypoints"], np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(people[0].keypoints[:17], wanted)
    assert (people[0].keypoints[17:] == 0).all()


BAD = {
    "nothing there": (("nowhere",), "nowhere: no such directory or picture"),
    "no pictures": (("EMPTY",), "no images in"),
    "an existing target": (("IMAGES", "--out", "LABELS"), "add --force to replace it"),
    "a threshold of no detector": (("IMAGES", "--det-thr", "0.5"), "add --detector ARTIFACT"),
    "a detector to label": (("IMAGES", "--pose", "DETECTOR"), "task detect"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(edgepose, labels, pose, detector, pictures, tmp_path, case) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "EMPTY": tmp_path / "empty", "IMAGES": pictures, "LABELS": labels[0], "DETECTOR": detector.path,
    }  # fmt: skip
    options, said = BAD[case]
    target = tmp_path / "out.json"
    done = edgepose(
        *("label", "--pose", pose.path, "--out", target),
        *(places.get(each, each) for each in options),
    )
    assert done.code == 2
    assert said in done.message
    assert not target.exists()
