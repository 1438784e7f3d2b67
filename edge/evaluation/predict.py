"""COCO results of a model: every image of a COCO-style set in, records ready for the evaluator out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.codecs.people import person_labels, with_labels
from edge.evaluation.coco import Annotation, CocoResult, Id, as_results, boxes_xyxy, people_by_image
from edge.evaluation.dataset import Dataset
from edge.evaluation.duplicates import drop_duplicates
from edge.evaluation.schema_map import as_schema, scored_schema
from edge.model import Model
from edge.types import U8, Poses
from runtimes.errors import InputError

Advance = Callable[[], object]


@dataclass(frozen=True, slots=True)
class PersonFinder:
    """A detector, and the labels of its boxes that are people (None: all)."""

    detector: Model
    labels: tuple[int, ...] | None


def predict(
    model: Model,
    dataset: Dataset,
    *,
    detector: Model | None = None,
    flip: bool = False,
    det_classes: Sequence[str] = (),
    advance: Advance = lambda: None,
) -> list[CocoResult]:
    """Run `model` on every image: a detector's boxes, or poses in ground-truth (or the detector's) boxes.

    Poses come in the keypoint set that they are scored in; those of top-down models go through OKS NMS, as in mmpose.
    Bottom-up models take no boxes. flip: flip test, for top-down models. det_classes: the detector's classes that are
    people, as `person_labels` takes them. `advance` is called after each
    image. Raises InputError for a detector or a flip test that the model has no use for.
    """
    if model.spec.is_detector:
        labels = person_labels(model.spec, det_classes)
        return as_results(_box_records(model, dataset, labels, advance))
    schema = scored_schema(model.schema)
    records: list[dict[str, Any]] = []
    finder = PersonFinder(detector, person_labels(detector.spec, det_classes)) if detector else None
    for image_id, poses in _poses(model, dataset, finder, flip=flip):
        records += as_schema(poses, schema).to_coco(image_id, dataset.truth.person)
        advance()
    results = as_results(records)
    nms = not model.spec.is_bottom_up and bool(schema.sigmas)
    return drop_duplicates(results, schema.sigmas) if nms else results


def _poses(
    model: Model, dataset: Dataset, finder: PersonFinder | None, *, flip: bool
) -> Iterator[tuple[Id, Poses]]:
    """Yield every image's id and the poses found there."""
    if model.spec.is_bottom_up and (finder is not None or flip):
        raise InputError(
            f"{model.name} is bottom-up and finds all people itself; leave out the detector and the flip test"
        )
    truth = people_by_image(dataset.truth)
    for image_id in dataset.paths:
        image = dataset.image(image_id)
        if model.spec.is_bottom_up:
            yield image_id, model.poses(image)
        elif finder is not None:
            found = with_labels(finder.detector.detect(image), finder.labels)
            yield image_id, model.poses(image, found.boxes, found.scores, flip=flip)
        else:
            yield image_id, _in_labelled_boxes(model, image, truth[image_id], flip=flip)


def _in_labelled_boxes(model: Model, image: U8, there: list[Annotation], *, flip: bool) -> Poses:
    boxes = boxes_xyxy([person for person in there if person.labelled])
    return model.poses(image, boxes, np.ones(len(boxes), np.float32), flip=flip)


def _box_records(
    model: Model, dataset: Dataset, labels: tuple[int, ...] | None, advance: Advance
) -> list[dict[str, Any]]:
    records = []
    for image_id in dataset.paths:
        found = with_labels(model.detect(dataset.image(image_id)), labels)
        for (x0, y0, x1, y1), score in zip(found.boxes, found.scores, strict=True):
            bbox = [float(x0), float(y0), float(x1 - x0), float(y1 - y0)]
            records.append(
                {
                    "image_id": image_id,
                    "category_id": dataset.truth.person,
                    "bbox": bbox,
                    "score": float(score),
                }
            )
        advance()
    return records
