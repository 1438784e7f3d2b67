"""COCO-WholeBody, CrowdPose and AP-10K as their reference evaluator scores them: xtcocotools, on small drawn sets.

tests/data/evaluators/make.py made the sets, the results on them and the figures.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.catalog.specs import rtmpose_spec
from edge.evaluation.coco import CocoResult, as_results
from edge.evaluation.coco_file import load_categories, load_ground_truth
from edge.evaluation.dataset import Dataset
from edge.evaluation.protocols.shared import evaluate_shared, shared_set
from edge.evaluation.score import evaluate, evaluate_categories
from edge.evaluation.summary import Summary
from edge.evaluation.wholebody import part_results
from edge.model import Model
from edge.schema import load_schema, shared_keypoints
from runtimes.errors import InputError
from runtimes.fake import FakeSession

pytest.importorskip("faster_coco_eval")

DATA = Path(__file__).parents[3] / "data" / "evaluators"
FOUR_DECIMALS = 5e-5


@pytest.fixture(scope="module")
def figures() -> Any:
    return json.loads((DATA / "figures.json").read_bytes())


def top_down(schema: str) -> Model:
    """Return a model of that keypoint set, which is never run."""
    return Model(rtmpose_spec("any", (192, 256), schema), FakeSession([]))


def dataset(name: str) -> Dataset:
    return Dataset(load_ground_truth(DATA / f"{name}.json"), {})


def results(name: str) -> list[CocoResult]:
    return as_results(json.loads((DATA / f"{name}_results.json").read_bytes()))


def as_stats(summary: Summary) -> list[float]:
    return [-1.0 if value is None else value for value in summary.figures().values()]


def test_a_whole_body_and_its_parts(figures: Any) -> None:
    got = evaluate(top_down("coco133"), dataset("wholebody"), results("wholebody"))
    assert as_stats(got) == pytest.approx(figures["all"], abs=FOUR_DECIMALS)
    assert list(got.breakdown) == ["body", "foot", "face", "lefthand", "righthand"]
    for part, summary in got.breakdown.items():
        assert as_stats(summary) == pytest.approx(figures[part], abs=FOUR_DECIMALS), part


def test_crowdpose_and_its_levels(figures: Any) -> None:
    got = evaluate(top_down("crowdpose14"), dataset("crowdpose"), results("crowdpose"))
    levels = [got.breakdown[level].AP for level in ("easy", "medium", "hard")]
    ours = [got.AP, got.AP50, got.AP75, got.AR, got.AR50, got.AR75, *levels]
    assert ours == pytest.approx(figures["crowdpose"], abs=FOUR_DECIMALS)


def test_the_mean_over_categories_as_ap_10k_is_scored(figures: Any) -> None:
    """One category is never found, and one has no labelled keypoint: it defines no figure."""
    sets = [Dataset(truth, {}) for truth in load_categories(DATA / "animals.json")]
    assert [each.truth.person for each in sets] == [3, 7, 20]
    got = evaluate_categories(top_down("ap10k17"), sets, results("animals"))
    assert as_stats(got) == pytest.approx(figures["animals"], abs=FOUR_DECIMALS)
    assert list(got.breakdown) == ["kind 3", "kind 7", "kind 20"]
    assert got.breakdown["kind 20"].AP == 0
    assert got.people == sum(each.people for each in got.breakdown.values())


@pytest.mark.parametrize(
    ("schema", "other"), [("coco133", "sapiens308"), ("sapiens308", "coco133")]
)
def test_the_114_keypoints_of_sapiens_and_whole_bodies(
    figures: Any, schema: str, other: str
) -> None:
    """Models of both sets are scored on the same points of the same annotations."""
    model, truth = top_down(schema), load_ground_truth(DATA / "wholebody.json")
    shared = shared_set(model, truth, load_schema(other), "wholebody.json")
    assert len(shared.schema) == 114
    rows = shared_keypoints(load_schema("coco133"), shared.schema)
    found = [
        msgspec.structs.replace(
            each, keypoints=np.reshape(each.keypoints, (133, 3))[rows].ravel().tolist()
        )
        for each in part_results(results("wholebody"), "all")
    ]
    # the evaluator was given the persons' own scores
    own = {id(a): b.score for a, b in zip(found, results("wholebody"), strict=True)}
    found = [msgspec.structs.replace(each, score=own[id(each)]) for each in found]
    got = evaluate_shared(model, shared, found)
    assert as_stats(got) == pytest.approx(figures["shared"], abs=FOUR_DECIMALS)


def test_sets_without_a_shared_keypoint_are_refused() -> None:
    truth = load_ground_truth(DATA / "wholebody.json")
    with pytest.raises(InputError, match="coco133 and hand21 share no keypoint"):
        shared_set(top_down("coco133"), truth, load_schema("hand21"), "wholebody.json")
