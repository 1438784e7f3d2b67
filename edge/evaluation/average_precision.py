"""COCO average precision and recall of results, and the AP drop between two sets of results.

Matching and precision are faster-coco-eval's, which equals pycocotools; this module feeds it, keeps it quiet and reads
its numbers. The protocol: https://cocodataset.org/#keypoints-eval.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from edge.evaluation.coco import (
    PERSON,
    Annotation,
    CocoResult,
    GroundTruth,
    as_results,
    extent_xywh,
)
from edge.evaluation.summary import IouType, Summary
from runtimes.errors import InputError
from runtimes.install.import_errors import broken_import

Results = Sequence[CocoResult | Mapping[str, Any]]

# A person's share of the box where a file gives no segment area: CrowdPose's and AIC's convention.
BOX_FILL = 0.53

_ALL = 0  # the evaluator's first area range
_IOU_50, _IOU_75 = 0, 5  # in its thresholds .50, .55, ... .95


class ApDrop(NamedTuple):
    """The AP drop from results a to results b (0 to 1, positive is worse), with its 95 % interval."""

    drop: float
    low: float
    high: float


def evaluate_keypoints(
    truth: GroundTruth, results: Results, sigmas: Sequence[float], *, use_area: bool = True
) -> Summary:
    """Score keypoints by object keypoint similarity.

    results: COCO records (`Poses.to_coco`); sigmas: one a keypoint; use_area: False takes 0.53 of the box as a
    person's area, as CrowdPose and AIC do; True does so for people whose area the file does not give.
    Raises InputError where results and ground truth do not fit together, MissingDependencyError without
    the evaluator.
    """
    return _summary(
        _evaluator("keypoints", truth, results, sigmas=sigmas, use_area=use_area), truth
    )


def evaluate_boxes(truth: GroundTruth, results: Results) -> Summary:
    """Score person boxes by intersection over union, at most 100 an image; errors as in `evaluate_keypoints`."""
    return _summary(_evaluator("bbox", truth, results), truth)


def bootstrap_ap_drop(
    truth: GroundTruth,
    results_a: Results,
    results_b: Results,
    *,
    sigmas: Sequence[float] | None = None,
    use_area: bool = True,
    rounds: int = 300,
    seed: int = 0,
) -> ApDrop:
    """Return AP of a less AP of b, with a 95 % interval from a bootstrap over images.

    The bootstrap is paired: both results are evaluated on the same drawn images, so that images which are hard for
    both do not widen the interval.
    sigmas: given, keypoints are compared, `use_area` as in `evaluate_keypoints`; None, boxes. rounds 0: the interval
    is the drop itself.
    Raises as `evaluate_keypoints`, and InputError where the ground truth has no labelled person.
    """
    iou_type: IouType = "bbox" if sigmas is None else "keypoints"
    both = [
        _evaluator(iou_type, truth, results, sigmas=sigmas, use_area=use_area, all_areas=False)
        for results in (results_a, results_b)
    ]
    drop = _drop(both)
    if drop is None:
        raise InputError("the ground truth has no labelled person, so there is no AP to compare")
    per_image = [list(evaluator._evalImgs_cpp) for evaluator in both]  # noqa: SLF001 matches an image: no public name
    rng = np.random.default_rng(seed)
    drops = []
    for _ in range(rounds):
        drawn = rng.integers(0, len(truth.images), len(truth.images))
        for evaluator, matches in zip(both, per_image, strict=True):
            evaluator._evalImgs_cpp = [matches[image] for image in drawn]  # noqa: SLF001 as above
            evaluator.accumulate()
        resampled = _drop(both)
        if resampled is not None:
            drops.append(resampled)
    low, high = np.percentile(drops, (2.5, 97.5)) if drops else (drop, drop)
    return ApDrop(drop, float(low), float(high))


def _drop(both: Sequence[Any]) -> float | None:
    a, b = (_mean(evaluator.eval["precision"][:, :, :, _ALL, -1]) for evaluator in both)
    return None if a is None or b is None else a - b


def _evaluator(
    iou_type: IouType,
    truth: GroundTruth,
    results: Results,
    *,
    sigmas: Sequence[float] | None = None,
    use_area: bool = True,
    all_areas: bool = True,
) -> Any:
    """Run the evaluator and return it: `eval` holds precision [T, R, K, A, M] and recall [T, K, A, M]."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415 optional, and slow to import
    except ImportError as error:
        raise broken_import("faster-coco-eval", "eval", error) from error
    found = [each for each in as_results(results) if each.category_id == truth.person]
    people = truth.people
    _check_fit(iou_type, truth, people, found, sigmas)
    # The evaluator takes whole numbers alone for ids, and an annotation's 0 for "unmatched": all count from 1.
    numbers = {each.id: number for number, each in enumerate(truth.images, 1)}
    points = len(sigmas or ())
    dataset = {
        "images": [{"id": number} for number in numbers.values()],
        "categories": [{"id": PERSON, "name": "person"}],
        "annotations": [
            {"id": n, "image_id": numbers[each.image_id]}
            | _truth_record(each, points, use_area=use_area)
            for n, each in enumerate(people, 1)
        ],
    }
    reference = COCO(dataset, print_function=_say_nothing)
    detections = reference.loadRes(
        [{"image_id": numbers[each.image_id]} | _result_record(iou_type, each) for each in found]
    )
    evaluator = COCOeval_faster(
        reference,
        detections,
        iou_type,
        print_function=_say_nothing,
        kpt_oks_sigmas=sigmas,
        separate_eval=True,
    )
    evaluator.params.imgIds = list(numbers.values())
    evaluator.params.catIds = [PERSON]
    if not all_areas:
        evaluator.params.areaRng = evaluator.params.areaRng[:1]
        evaluator.params.areaRngLbl = evaluator.params.areaRngLbl[:1]
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator


def _summary(evaluator: Any, truth: GroundTruth) -> Summary:
    iou_type: IouType = evaluator.params.iouType
    labels = evaluator.params.areaRngLbl
    medium, large = labels.index("medium"), labels.index("large")
    precision, recall = evaluator.eval["precision"][..., -1], evaluator.eval["recall"][..., -1]
    return Summary(
        iou_type=iou_type,
        AP=_mean(precision[..., _ALL]),
        AP50=_mean(precision[_IOU_50, ..., _ALL]),
        AP75=_mean(precision[_IOU_75, ..., _ALL]),
        APM=_mean(precision[..., medium]),
        APL=_mean(precision[..., large]),
        AR=_mean(recall[..., _ALL]),
        AR50=_mean(recall[_IOU_50, ..., _ALL]),
        AR75=_mean(recall[_IOU_75, ..., _ALL]),
        ARM=_mean(recall[..., medium]),
        ARL=_mean(recall[..., large]),
        images=len(truth.images),
        people=sum(
            not each.iscrowd and (iou_type == "bbox" or (each.labelled and not each.ignore))
            for each in truth.people
        ),
    )


def _mean(values: Any) -> float | None:
    """Return the mean of the defined values; the evaluator marks the others with -1."""
    values = np.asarray(values)
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _truth_record(person: Annotation, points: int, *, use_area: bool) -> dict[str, Any]:
    area = person.area if use_area and person.area is not None else None
    keypoints = person.keypoints if person.labelled else (0.0,) * (3 * points)
    return {
        "category_id": PERSON,
        "bbox": list(person.bbox),
        "area": BOX_FILL * person.bbox[2] * person.bbox[3] if area is None else area,
        "iscrowd": person.iscrowd,
        "keypoints": list(keypoints),
        "num_keypoints": 0 if person.ignore else sum(v > 0 for v in keypoints[2::3]),
    }


def _result_record(iou_type: IouType, found: CocoResult) -> dict[str, Any]:
    record: dict[str, Any] = {
        "category_id": PERSON,
        "score": found.score,
        # its area decides whether an unmatched result counts in M or L
        "bbox": list(found.bbox if found.bbox is not None else extent_xywh(found.keypoints)),
    }
    if iou_type == "keypoints":
        record["keypoints"] = list(found.keypoints)
    return record


def _check_fit(
    iou_type: IouType,
    truth: GroundTruth,
    people: Sequence[Annotation],
    found: Sequence[CocoResult],
    sigmas: Sequence[float] | None,
) -> None:
    known = {each.id for each in truth.images}
    stray = next((each.image_id for each in found if each.image_id not in known), None)
    if stray is not None:
        raise InputError(
            f"a result is of image {stray}, which the annotations do not have; "
            "evaluate on the annotations the results were made from"
        )
    if iou_type == "bbox":
        if any(each.bbox is None for each in found):
            raise InputError("a result has no bbox, which box evaluation needs in every result")
        return
    wanted = 3 * len(sigmas or ())
    if not wanted:
        raise InputError("keypoint evaluation needs sigmas, and this keypoint set has none")
    labelled = [each for each in people if each.labelled]
    for name, records in (("annotation", labelled), ("result", found)):
        for each in records:
            if len(each.keypoints) != wanted:
                raise InputError(
                    f"{name} of image {each.image_id} has {len(each.keypoints)} keypoint values, "
                    f"{wanted // 3} sigmas want {wanted}; use the schema of the annotations"
                )


def _say_nothing(*_: object) -> None:
    """Replace the evaluator's print."""
