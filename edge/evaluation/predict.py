"""A model over a COCO-style set: every image in, COCO result records out, ready for the evaluator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge.evaluation.average_precision import Summary, evaluate_boxes, evaluate_keypoints
from edge.evaluation.coco import (
    PERSON,
    CocoResult,
    Dataset,
    as_results,
    boxes_xyxy,
    people_by_image,
)
from edge.evaluation.rescoring import drop_duplicates
from edge.evaluation.schema_map import as_schema, scored_schema
from edge.image import read_image
from edge.model import Model
from edge.pipeline import people
from runtimes.errors import InputError

Advance = Callable[[], object]


def predict(
    model: Model,
    dataset: Dataset,
    *,
    detector: Model | None = None,
    flip: bool = False,
    advance: Advance = lambda: None,
) -> list[CocoResult]:
    """Run `model` on every image: a detector's boxes, or poses in ground-truth (or the detector's) boxes.

    A bottom-up model finds its people by itself. flip: flip test, for top-down models. `advance` is called after each
    image. Raises InputError for a detector or a flip test that the model has no use for.
    """
    records: list[dict[str, Any]] = []
    if model.spec.is_detector:
        for image_id, path in dataset.paths.items():
            records += _box_records(model, path, image_id)
            advance()
        return as_results(records)
    if model.spec.is_bottom_up:
        if detector is not None or flip:
            raise InputError(
                f"{model.name} finds its people by itself; leave the detector and the flip test out"
            )
        return _everybody(model, dataset, advance)
    truth = people_by_image(dataset.truth)
    for image_id, path in dataset.paths.items():
        image = read_image(path)
        if detector is None:
            boxes = boxes_xyxy([person for person in truth[image_id] if person.labelled])
            scores = np.ones(len(boxes), np.float32)
        else:
            found = people(detector.detect(image), detector.spec.classes)
            boxes, scores = found.boxes, found.scores
        records += model.poses(image, boxes, scores, flip=flip).to_coco(image_id)
        advance()
    results = as_results(records)
    return results if detector is None else drop_duplicates(results, model.schema.sigmas)


def _everybody(model: Model, dataset: Dataset, advance: Advance) -> list[CocoResult]:
    """Run a bottom-up model on every image, its keypoints brought to the set that they are scored in."""
    schema = scored_schema(model.schema)
    records: list[dict[str, Any]] = []
    for image_id, path in dataset.paths.items():
        records += as_schema(model.poses(read_image(path)), schema).to_coco(image_id)
        advance()
    return as_results(records)


def score(model: Model, dataset: Dataset, results: list[CocoResult]) -> Summary:
    """Score a model's results by its task: keypoints in the set they are scored in, or boxes."""
    if model.spec.is_detector:
        return evaluate_boxes(dataset.truth, results)
    sigmas = scored_schema(model.schema).sigmas
    if not sigmas:
        raise InputError(
            f"{model.name}: keypoint set {model.schema.name} has no published sigmas, so no AP"
        )
    return evaluate_keypoints(dataset.truth, results, sigmas)


def _box_records(model: Model, path: Path, image_id: int) -> list[dict[str, Any]]:
    found = people(model.detect(read_image(path)), model.spec.classes)
    return [
        {
            "image_id": image_id,
            "category_id": PERSON,
            "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
            "score": float(box_score),
        }
        for (x0, y0, x1, y1), box_score in zip(found.boxes, found.scores, strict=True)
    ]
