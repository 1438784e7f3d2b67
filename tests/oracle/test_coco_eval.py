"""Our COCO, COCO-WholeBody, CrowdPose and CocoMetric figures against the reference evaluators' on the same results."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.catalog.specs import rtmpose_spec
from edge.evaluation.average_precision import (
    bootstrap_ap_drop,
    evaluate_boxes,
    evaluate_keypoints,
)
from edge.evaluation.coco import CocoResult, as_results, subset
from edge.evaluation.coco_file import load_ground_truth
from edge.evaluation.dataset import Dataset
from edge.evaluation.duplicates import drop_duplicates
from edge.evaluation.score import evaluate, score
from edge.evaluation.summary import FIGURES, Summary
from edge.evaluation.wholebody import (
    PARTS,
    Part,
    crowd_level,
    part_results,
    part_sigmas,
    part_truth,
)
from edge.model import Model
from edge.nms.overlap import oks_nms, soft_oks_nms
from edge.schema import load_schema
from edge.types import Poses
from runtimes.fake import FakeSession

pytest.importorskip("faster_coco_eval")

TOLERANCE = 5e-5  # four decimals
COCO = load_schema("coco17")
COCO17 = COCO.sigmas
COCO133 = load_schema("coco133").sigmas
CROWDPOSE14 = load_schema("crowdpose14").sigmas


@pytest.fixture(scope="session")
def expected(oracles) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads(oracles("coco_eval.json").read_bytes())
    return figures


def load_results(path: Path) -> list[CocoResult]:
    return as_results(json.loads(path.read_bytes()))


def rescored(results: list[CocoResult]) -> list[CocoResult]:
    """Take each result's score for its box's, and let `Poses` make a person's of it."""
    values = np.array([each.keypoints for each in results], np.float32).reshape(-1, 17, 3)
    poses = Poses(
        values[..., :2],
        values[..., 2],
        np.zeros((len(values), 4), np.float32),
        np.array([each.score for each in results], np.float32),
        np.full(len(values), -1, np.int32),
        COCO,
    )
    scores = poses.instance_scores().tolist()
    return [
        msgspec.structs.replace(each, score=score)
        for each, score in zip(results, scores, strict=True)
    ]


def check(got: Summary, figures: list[float]) -> None:
    values = [getattr(got, name) for name in FIGURES]
    assert [
        None if figure == -1 else pytest.approx(figure, abs=TOLERANCE) for figure in figures
    ] == values


@pytest.mark.parametrize("index", range(3))
def test_keypoints(oracles, real: Path, expected: dict[str, Any], index: int) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    results = load_results(oracles(f"coco_eval_pred{index}.json"))
    got = evaluate_keypoints(truth, results, COCO17)
    check(got, expected[f"coco/pred{index}"]["xtcoco"])
    assert (got.images, got.people) == (4, 12)


def test_keypoints_of_the_evaluators_example(real: Path, expected: dict[str, Any]) -> None:
    truth = load_ground_truth(real / "eval/example_coco_val.json")
    results = load_results(real / "eval/example_coco_preds.json")
    check(evaluate_keypoints(truth, results, COCO17), expected["xtcocoapi/coco"]["pycoco"])


@pytest.mark.parametrize("part", PARTS)
def test_wholebody(oracles, real: Path, expected: dict[str, Any], part: Part) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco_wholebody.json")
    results = load_results(oracles("coco_eval_wholebody_pred.json"))
    got = evaluate_keypoints(
        part_truth(truth, part), part_results(results, part), part_sigmas(COCO133, part)
    )
    check(got, expected[f"wholebody/{part}"])


@pytest.mark.parametrize("part", PARTS)
def test_wholebody_of_the_evaluators_example(
    real: Path, expected: dict[str, Any], part: Part
) -> None:
    truth = load_ground_truth(real / "eval/example_wholebody_val.json")
    results = load_results(real / "eval/example_wholebody_preds.json")
    got = evaluate_keypoints(
        part_truth(truth, part), part_results(results, part), part_sigmas(COCO133, part)
    )
    check(got, expected[f"xtcocoapi/wholebody_{part}"])


def test_wholebody_in_133_keypoints_is_the_same(real: Path) -> None:
    apart = load_ground_truth(real / "mmpose-coco/test_coco_wholebody.json")
    whole = load_ground_truth(real / "mmpose-coco/test_keypoint_partition_metric.json")
    for part in PARTS:
        ours, theirs = (part_truth(truth, part).annotations for truth in (apart, whole))
        assert [each.keypoints for each in ours] == [each.keypoints for each in theirs]


@pytest.mark.parametrize("source", ["mmpose", "example"])
def test_crowdpose(oracles, real: Path, expected: dict[str, Any], source: str) -> None:
    files = {
        "mmpose": (real / "eval/test_crowdpose.json", oracles("coco_eval_crowdpose_pred.json")),
        "example": (
            real / "eval/example_crowdpose_val.json",
            real / "eval/example_crowdpose_preds.json",
        ),
    }
    figures = {"mmpose": expected["crowdpose"]["stats"], "example": expected["xtcocoapi/crowdpose"]}
    truth, results = load_ground_truth(files[source][0]), load_results(files[source][1])
    got = evaluate_keypoints(truth, results, CROWDPOSE14, use_area=False)
    ours = [got.AP, got.AP50, got.AP75, got.AR, got.AR50, got.AR75]
    for level in ("easy", "medium", "hard"):
        ids = crowd_level(truth, level)
        within = [each for each in results if each.image_id in ids]
        ours.append(evaluate_keypoints(subset(truth, ids), within, CROWDPOSE14, use_area=False).AP)
    assert [
        None if figure == -1 else pytest.approx(figure, abs=TOLERANCE) for figure in figures[source]
    ] == ours


def top_down(schema: str) -> Model:
    """Return a model of that keypoint set, which is never run."""
    return Model(rtmpose_spec("any", (192, 256), schema), FakeSession([]))


def test_a_whole_body_model_is_scored_by_part(
    oracles, real: Path, expected: dict[str, Any]
) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco_wholebody.json")
    results = load_results(oracles("coco_eval_wholebody_pred.json"))
    got = evaluate(top_down("coco133"), Dataset(truth, {}), results)
    check(got, expected["wholebody/all"])
    assert list(got.breakdown) == ["body", "foot", "face", "lefthand", "righthand"]
    for part, summary in got.breakdown.items():
        check(summary, expected[f"wholebody/{part}"])


def test_a_crowded_set_is_scored_by_level(real: Path, expected: dict[str, Any]) -> None:
    truth = load_ground_truth(real / "eval/example_crowdpose_val.json")
    results = load_results(real / "eval/example_crowdpose_preds.json")
    got = evaluate(top_down("crowdpose14"), Dataset(truth, {}), results)
    levels = [got.breakdown[level].AP for level in ("easy", "medium", "hard")]
    ours = [got.AP, got.AP50, got.AP75, got.AR, got.AR50, got.AR75, *levels]
    figures = expected["xtcocoapi/crowdpose"]
    assert [
        None if figure == -1 else pytest.approx(figure, abs=TOLERANCE) for figure in figures
    ] == ours


def test_an_ordinary_set_has_no_breakdown(oracles, real: Path) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    results = load_results(oracles("coco_eval_pred0.json"))
    model = top_down("coco17")
    got = evaluate(model, Dataset(truth, {}), results)
    assert got.breakdown == {}
    assert got.figures() == score(model, Dataset(truth, {}), results).figures()
    # as it goes to disk: what was written before there were breakdowns is read, and still written
    assert "breakdown" not in msgspec.json.decode(msgspec.json.encode(got))


SCORED = {"bbox": list, "bbox_keypoint": rescored}
SUPPRESSED = {
    "none": list,
    "oks_nms": lambda results: drop_duplicates(results, COCO17, suppress=oks_nms),
    "soft_oks_nms": lambda results: drop_duplicates(results, COCO17, suppress=soft_oks_nms),
}


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("suppress", SUPPRESSED)
@pytest.mark.parametrize("mode", SCORED)
def test_coco_metric(
    oracles, real: Path, expected: dict[str, Any], mode: str, suppress: str, index: int
) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    results = load_results(oracles(f"coco_eval_pred{index}.json"))
    results = SCORED[mode](results)
    results = SUPPRESSED[suppress](results)
    figures = list(expected[f"CocoMetric/{mode}/{suppress}/pred{index}"].values())
    check(evaluate_keypoints(truth, results, COCO17), figures)


def test_boxes_against_pycocotools(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pycoco = pytest.importorskip("pycocotools.coco")
    pyeval = pytest.importorskip("pycocotools.cocoeval")
    path = real / "coco-mini/instances.json"
    truth = load_ground_truth(path)
    # Boxes that are sometimes right: the truth, shifted by a few pixels that grow with the annotation's rank.
    records = [
        {
            "image_id": each.image_id,
            "category_id": 1,
            "bbox": [each.bbox[0] + rank % 40, each.bbox[1], each.bbox[2], each.bbox[3]],
            "score": 1 / (1 + rank % 7),
        }
        for rank, each in enumerate(truth.annotations)
    ]
    reference = pycoco.COCO(path)
    evaluator = pyeval.COCOeval(
        reference, reference.loadRes([dict(each) for each in records]), "bbox"
    )
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    capsys.readouterr()
    got = evaluate_boxes(truth, records)
    stats = evaluator.stats
    ours = [got.AP, got.AP50, got.AP75, got.APM, got.APL, got.AR, got.ARM, got.ARL]
    assert ours == pytest.approx(stats[[0, 1, 2, 4, 5, 8, 10, 11]], abs=TOLERANCE)
    assert got.images == 80
    assert capsys.readouterr() == ("", "")


def test_bootstrap_of_real_predictions(oracles, real: Path, expected: dict[str, Any]) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    good, bad = (load_results(oracles(f"coco_eval_pred{index}.json")) for index in (0, 1))
    figure = [expected[f"coco/pred{index}"]["xtcoco"][0] for index in (0, 1)]
    got = bootstrap_ap_drop(truth, good, bad, sigmas=COCO17)
    assert got.drop == pytest.approx(figure[0] - figure[1], abs=TOLERANCE)
    assert 0 < got.low < got.drop < got.high < 1
