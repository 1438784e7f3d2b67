"""Poses in annotated and in detected boxes, and over categories, scored as COCO's own evaluator does."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faster_coco_eval")

from edge.evaluation.dataset import load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.summary import FIGURES
from edge.model import load

COUNT = 34
File = dict[str, Any]


def test_the_control_scores_as_by_the_evaluator_alone(
    place: Path, expected: dict[str, Any]
) -> None:
    """The file as it is, read by the evaluator's own reader, and our poses."""
    from faster_coco_eval import COCO, COCOeval_faster

    with load(place / "pose") as model:
        results = predict(model, load_dataset(place / "control.json"))
    records = [
        {
            "image_id": each.image_id,
            "category_id": 1,
            "score": each.score,
            "keypoints": list(each.keypoints),
        }
        for each in results
    ]
    quiet = {"print_function": lambda *_: None}
    truth = COCO(str(place / "control.json"), **quiet)
    evaluator = COCOeval_faster(
        truth, truth.loadRes(records), "keypoints", kpt_oks_sigmas=[0.1, 0.1], **quiet
    )
    evaluator.evaluate()
    evaluator.accumulate()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    assert expected["AP"] == pytest.approx(float(precision[precision > -1].mean()), abs=1e-9)


def detections(truth: File) -> list[File]:
    """Boxes as a detector gives them: beside the people, twice, where nobody is, and one of another category."""
    rng = np.random.default_rng(3)
    found = []
    for each in truth["annotations"]:
        x, y, w, h = each["bbox"]
        for score in rng.choice([0.95, 0.6, 0.3, 0.05], rng.integers(1, 4), replace=False).tolist():
            beside = np.add((x, y, w, h), rng.integers(-3, 4, 4)).tolist()
            found.append({"image_id": each["image_id"], "bbox": beside, "score": score})
    found += [{"image_id": COUNT + 1, "bbox": [0, 0, 40, 30], "score": 0.2}]
    return [each | {"category_id": 1} for each in found]


def judged(truth: Path, results: Path) -> list[float]:
    """Score a result file with COCO's own evaluator where it is installed, else with its faster equal."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval
        except ImportError:
            from faster_coco_eval import COCO
            from faster_coco_eval import COCOeval_faster as COCOeval
        reference = COCO(str(truth))
        evaluator = COCOeval(reference, reference.loadRes(str(results)), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array([0.1, 0.1])
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return [float(value) for value in evaluator.stats[:10]]


@pytest.mark.parametrize("options", [[], ["--det-thr", 0.3], ["--pose-nms", "none"]])
def test_in_detected_boxes_the_figures_are_those_of_the_result_file(
    control: Callable[[], File],
    place: Path,
    edgepose: Callable[..., Any],
    tmp_path: Path,
    options: list[object],
) -> None:
    boxes, out = tmp_path / "boxes.json", tmp_path / "results.json"
    boxes.write_text(json.dumps(detections(control())))
    args = ("eval", place / "pose", "--annotations", place / "control.json", "--out", out)
    done = edgepose(*args, "--detections", boxes, "--json", *options)
    assert done.code == 0, done.err
    figures = [done.json[name] for name in FIGURES]
    expected = judged(place / "control.json", out)
    assert 0.05 < expected[0] < 0.9
    assert [-1.0 if each is None else each for each in figures] == pytest.approx(expected, abs=5e-5)
    scores = [each["score"] for each in detections(control())]
    wanted = sum(score >= 0.3 for score in scores) if "--det-thr" in options else len(scores)
    results = json.loads(out.read_text())
    assert len(results) == wanted if "--pose-nms" in options else len(results) < wanted
    again = edgepose(*args, "--detections", boxes)
    assert (again.code, "add --force" in again.message) == (2, True)


def test_a_score_is_the_boxs_times_the_mean_of_the_confident_keypoints(
    control: Callable[[], File], place: Path, edgepose: Callable[..., Any], tmp_path: Path
) -> None:
    """As mmpose's score_mode bbox_keypoint, and as SimpleBaseline's rescoring with in_vis_thre .2."""
    boxes, out = tmp_path / "boxes.json", tmp_path / "results.json"
    boxes.write_text(json.dumps(detections(control())))
    args = ("--annotations", place / "control.json", "--detections", boxes, "--pose-nms", "none")
    assert edgepose("eval", place / "pose", *args, "--out", out).code == 0
    results = json.loads(out.read_text())
    by_image = {(each["image_id"], *each["bbox"]): each["score"] for each in detections(control())}
    assert len(results) == len(detections(control()))
    for each in results:
        confident = [score for score in each["keypoints"][2::3] if score > 0.2]
        box = by_image[(each["image_id"], *each["bbox"])]
        mean = sum(confident) / len(confident) if confident else 0.0
        assert each["score"] == pytest.approx(box * mean, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_id": 4711}, "images that the annotations do not list"),
        ({"category_id": 99}, "no box is of category 1"),
    ],
)
def test_boxes_of_another_set_are_refused(
    control: Callable[[], File],
    place: Path,
    edgepose: Callable[..., Any],
    tmp_path: Path,
    changes: File,
    said: str,
) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([each | changes for each in detections(control())]))
    args = ("--annotations", place / "control.json", "--detections", boxes)
    # the model is not opened: there is none
    done = edgepose("eval", "rtmpose-t", "--weights", "gone.pth", *args)
    assert done.code == 2
    assert said in done.message


@pytest.mark.parametrize("source", ["annotated", "detected"])
def test_the_mean_over_all_categories_is_the_evaluators(
    control: Callable[[], File],
    place: Path,
    edgepose: Callable[..., Any],
    tmp_path: Path,
    source: str,
) -> None:
    """Two kinds of animals with the same keypoints, as in AP-10K; the second kind's labels are further off."""
    truth = control()
    truth["categories"] = [
        {"id": 5, "name": "cat"},
        {"id": 6, "name": "ox"},
        {"id": 9, "name": "-"},
    ]
    for each in truth["annotations"]:
        second = each["id"] % 2 == 0
        each["category_id"] = 6 if second else 5
        each["keypoints"][0] += 2 * second
    path, boxes, out = (place / f"animals_{name}.json" for name in ("truth", "boxes", "results"))
    path.write_text(json.dumps(truth))
    kind = {each["image_id"]: 5 + each["image_id"] % 2 for each in truth["annotations"]}
    found = [
        each | {"category_id": kind.get(each["image_id"], 5)} for each in detections(control())
    ]
    boxes.write_text(json.dumps(found))
    chosen = ["--detections", boxes] if source == "detected" else []
    args = ("eval", place / "pose", "--annotations", path, "--category", "all", *chosen)
    done = edgepose(*args, "--out", out, "--force", "--json")
    assert done.code == 0, done.err
    figures = [done.json[name] for name in FIGURES]
    expected = judged(path, out)
    assert [-1.0 if each is None else each for each in figures] == pytest.approx(expected, abs=5e-5)
    each_kind = done.json["breakdown"]
    assert list(each_kind) == ["cat", "ox"]
    assert each_kind["cat"]["AP"] != each_kind["ox"]["AP"]
    assert (done.json["images"], done.json["people"]) == (COUNT + 1, 2 * COUNT)
    alone = edgepose("eval", place / "pose", "--annotations", path, "--category", "ox", "--json")
    if source == "annotated":
        assert alone.json["AP"] == pytest.approx(each_kind["ox"]["AP"])
