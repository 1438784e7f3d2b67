"""Scores of a model's results by the protocol of its task and of the set: COCO, COCO-WholeBody or CrowdPose."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import msgspec

from edge.evaluation.average_precision import evaluate_boxes, evaluate_keypoints
from edge.evaluation.coco import CocoResult, GroundTruth, subset
from edge.evaluation.dataset import Dataset
from edge.evaluation.keypoint_names import check_keypoint_order
from edge.evaluation.schema_map import scored_schema
from edge.evaluation.summary import FIGURES, EvalResult, Summary
from edge.evaluation.wholebody import (
    LEVELS,
    PARTS,
    WHOLE_BODY,
    crowd_level,
    crowd_truth,
    is_crowdpose,
    part_results,
    part_sigmas,
    part_truth,
)
from edge.model import Model
from edge.schema import SCHEMAS, KeypointSchema
from runtimes.errors import InputError

# Between COCO's .025 (eyes) and .107 (hips).
DEFAULT_SIGMA = 0.05


@dataclass(frozen=True, slots=True)
class Protocol:
    """The ground truth that a model's results are scored against, and how.

    sigmas: one a keypoint, or None where boxes are scored. use_area: False on CrowdPose, as `evaluate_keypoints` says.
    """

    truth: GroundTruth
    sigmas: tuple[float, ...] | None
    use_area: bool = True


def protocol_of(model: Model, truth: GroundTruth) -> Protocol:
    """Return the protocol for a model's task and keypoints; raises InputError where there is none.

    Annotations of the model's keypoints in another order are refused too.

    Whole bodies are scored on all 133 keypoints, which takes the annotations of COCO-WholeBody.
    """
    if model.spec.is_detector:
        return Protocol(truth, None)
    schema = scored_schema(model.schema)
    sigmas = schema.sigmas or assumed_sigmas(schema)
    if not sigmas:
        raise InputError(
            f"{model.name}: keypoint set {model.schema.name} has no published sigmas, so no AP"
        )
    check_keypoint_order(truth, schema)
    if is_whole_body(model):
        truth = part_truth(truth, "all")
    if is_crowdpose(truth):
        return Protocol(crowd_truth(truth), sigmas, use_area=False)
    return Protocol(truth, sigmas)


def assumed_sigmas(schema: KeypointSchema) -> tuple[float, ...]:
    """Return DEFAULT_SIGMA for each keypoint of the user's own set without sigmas; nothing for a known set.

    Known sets without sigmas (MPII, faces) are scored by other figures than AP.
    """
    return () if schema.sigmas or schema.name in SCHEMAS else (DEFAULT_SIGMA,) * len(schema)


def is_whole_body(model: Model) -> bool:
    """Whether results are of COCO-WholeBody's 133 keypoints."""
    return model.spec.gives_keypoints and scored_schema(model.schema).name == WHOLE_BODY


def score(model: Model, dataset: Dataset, results: Sequence[CocoResult]) -> Summary:
    """Return the figures of a model's results on a set: of boxes, or of all keypoints."""
    protocol = protocol_of(model, dataset.truth)
    if protocol.sigmas is None:
        return evaluate_boxes(protocol.truth, results)
    if is_whole_body(model):
        results = part_results(results, "all")
    return evaluate_keypoints(protocol.truth, results, protocol.sigmas, use_area=protocol.use_area)


def evaluate(model: Model, dataset: Dataset, results: Sequence[CocoResult]) -> EvalResult:
    """Return the figures of `score`, and those of a whole body's parts or of a crowded set's levels."""
    summary = score(model, dataset, results)
    protocol = protocol_of(model, dataset.truth)
    breakdown: dict[str, Summary] = {}
    if is_whole_body(model):
        breakdown = _parts(protocol, results)
    elif protocol.sigmas and is_crowdpose(protocol.truth):
        breakdown = _levels(protocol, results)
    return EvalResult(artifact=model.name, breakdown=breakdown, **msgspec.structs.asdict(summary))


def evaluate_categories(
    model: Model, datasets: Sequence[Dataset], results: Sequence[CocoResult]
) -> EvalResult:
    """Return the means over the categories of a set, as COCO's evaluator gives them, and each category's own figures.

    datasets: one a category, as `load_category_datasets`; results: of all of them. AP-10K is scored so. A figure that
    a category does not define, such as APL without large animals, is left out of the mean.
    """
    breakdown = {_category_name(each.truth): score(model, each, results) for each in datasets}
    summaries = list(breakdown.values())
    defined = {
        name: [value for each in summaries if (value := each.figures()[name]) is not None]
        for name in FIGURES
    }
    means = {name: fmean(values) if values else None for name, values in defined.items()}
    return EvalResult(
        artifact=model.name,
        breakdown=breakdown,
        iou_type="keypoints",
        images=len(datasets[0].truth.images),
        people=sum(each.people for each in summaries),
        **means,
    )


def _category_name(truth: GroundTruth) -> str:
    name = next((each.name for each in truth.categories if each.id == truth.person), "")
    names = [each.name for each in truth.categories]
    return name if name and names.count(name) == 1 else f"{name} {truth.person}".strip()


def _parts(protocol: Protocol, results: Sequence[CocoResult]) -> dict[str, Summary]:
    sigmas = protocol.sigmas or ()
    return {
        part: evaluate_keypoints(
            part_truth(protocol.truth, part),
            part_results(results, part),
            part_sigmas(sigmas, part),
        )
        for part in PARTS
        if part != "all"
    }


def _levels(protocol: Protocol, results: Sequence[CocoResult]) -> dict[str, Summary]:
    found: dict[str, Summary] = {}
    for level in LEVELS:
        ids = set(crowd_level(protocol.truth, level))
        found[level] = evaluate_keypoints(
            subset(protocol.truth, ids),
            [each for each in results if each.image_id in ids],
            protocol.sigmas or (),
            use_area=protocol.use_area,
        )
    return found
