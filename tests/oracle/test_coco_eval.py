"""Our COCO, COCO-WholeBody, CrowdPose and CocoMetric figures against the reference evaluators' on the same results."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge.evaluation.average_precision import (
    Summary,
    bootstrap_ap_drop,
    evaluate_boxes,
    evaluate_keypoints,
)
from edge.evaluation.coco import load_ground_truth, load_results, subset
from edge.evaluation.rescoring import drop_duplicates, rescore
from edge.evaluation.wholebody import (
    PARTS,
    Part,
    crowd_level,
    part_results,
    part_sigmas,
    part_truth,
)
from edge.nms.overlap import oks_nms, soft_oks_nms
from edge.schema import load_schema

pytest.importorskip("faster_coco_eval")

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
TOLERANCE = 5e-5  # four decimals
COCO17 = load_schema("coco17").sigmas
COCO133 = load_schema("coco133").sigmas
CROWDPOSE14 = load_schema("crowdpose14").sigmas


@pytest.fixture(scope="session")
def expected(oracles: Path) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((oracles / "coco_eval.json").read_bytes())
    return figures


def check(got: Summary, figures: list[float]) -> None:
    values = [getattr(got, name) for name in FIGURES]
    assert [
        None if figure == -1 else pytest.approx(figure, abs=TOLERANCE) for figure in figures
    ] == values


@pytest.mark.parametrize("index", range(3))
def test_keypoints(oracles: Path, real: Path, expected: dict[str, Any], index: int) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    results = load_results(oracles / f"coco_eval_pred{index}.json")
    got = evaluate_keypoints(truth, results, COCO17)
    check(got, expected[f"coco/pred{index}"]["xtcoco"])
    assert (got.images, got.people) == (4, 12)


def test_keypoints_of_the_evaluators_example(real: Path, expected: dict[str, Any]) -> None:
    truth = load_ground_truth(real / "eval/example_coco_val.json")
    results = load_results(real / "eval/example_coco_preds.json")
    check(evaluate_keypoints(truth, results, COCO17), expected["xtcocoapi/coco"]["pycoco"])


@pytest.mark.parametrize("part", PARTS)
def test_wholebody(oracles: Path, real: Path, expected: dict[str, Any], part: Part) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco_wholebody.json")
    results = load_results(oracles / "coco_eval_wholebody_pred.json")
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
def test_crowdpose(oracles: Path, real: Path, expected: dict[str, Any], source: str) -> None:
    files = {
        "mmpose": (real / "eval/test_crowdpose.json", oracles / "coco_eval_crowdpose_pred.json"),
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


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("suppress", ["none", "oks_nms", "soft_oks_nms"])
@pytest.mark.parametrize("mode", ["bbox", "bbox_keypoint", "bbox_rle"])
def test_coco_metric(
    oracles: Path, real: Path, expected: dict[str, Any], mode: Any, suppress: str, index: int
) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    results = rescore(load_results(oracles / f"coco_eval_pred{index}.json"), mode)
    nms = {"oks_nms": oks_nms, "soft_oks_nms": soft_oks_nms}
    if suppress in nms:
        results = drop_duplicates(results, COCO17, suppress=nms[suppress])
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


def test_bootstrap_of_real_predictions(oracles: Path, real: Path, expected: dict[str, Any]) -> None:
    truth = load_ground_truth(real / "mmpose-coco/test_coco.json")
    good, bad = (load_results(oracles / f"coco_eval_pred{index}.json") for index in (0, 1))
    figure = [expected[f"coco/pred{index}"]["xtcoco"][0] for index in (0, 1)]
    got = bootstrap_ap_drop(truth, good, bad, sigmas=COCO17)
    assert got.drop == pytest.approx(figure[0] - figure[1], abs=TOLERANCE)
    assert 0 < got.low < got.drop < got.high < 1
