"""COCO results of a model: every image of a COCO-style set in, records ready for the evaluator out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edge.codecs.people import person_labels, with_labels
from edge.evaluation.box_sources import BoxSource, annotated_boxes
from edge.evaluation.coco import CocoResult, Id, as_results
from edge.evaluation.dataset import Dataset
from edge.evaluation.duplicates import Suppress, drop_duplicates
from edge.evaluation.schema_map import as_schema, scored_schema
from edge.geometry import reaching
from edge.model import Model
from edge.nms.overlap import oks_nms, soft_oks_nms
from edge.nms.parametric import constants_of, merge_people
from edge.nms.parametric_paper import keep_confident
from edge.pipeline import PoseNMS
from edge.schema import KeypointSchema
from edge.types import Poses, counted
from runtimes.codec_spec import Codec
from runtimes.errors import InputError, warn

Advance = Callable[[], object]


def predict(
    model: Model,
    dataset: Dataset,
    *,
    boxes: BoxSource | None = None,
    flip: bool = False,
    pose_nms: PoseNMS = "oks",
    into: KeypointSchema | None = None,
    det_classes: Sequence[str] = (),
    advance: Advance = lambda: None,
) -> list[CocoResult]:
    """Run `model` on every image: a detector's boxes, or poses in the annotated (or given) boxes.

    Poses come in the keypoint set that they are scored in, or in `into`. pose_nms, of top-down models: "oks" and
    "soft-oks" are mmpose's (threshold .9, whatever the boxes come from); "parametric" merges poses in the model's own
    set (AlphaPose's code), "parametric-paper" keeps the most confident (its paper's equations). Bottom-up models take
    no boxes and need none of them. flip: flip test, for top-down models. det_classes: the classes of a detector that
    is evaluated that are people, as `person_labels` takes them. `advance` is called after each image. Raises
    InputError for boxes or a flip test that the model has no use for.
    """
    if model.spec.is_detector:
        labels = person_labels(model.spec, det_classes)
        return as_results(_box_records(model, dataset, labels, advance))
    schema = into or scored_schema(model.schema)
    top_down = not model.spec.is_bottom_up
    records: list[dict[str, Any]] = []
    for image_id, poses in _poses(model, dataset, boxes, flip=flip):
        merge = _MERGES[pose_nms] if top_down else _as_they_are
        merged = as_schema(merge(poses, model.spec.codec), schema)
        records += merged.to_coco(image_id, dataset.truth.person)
        advance()
    results = as_results(records)
    suppress = _SUPPRESSIONS.get(pose_nms)
    if suppress is None or not top_down or not schema.sigmas:
        return results
    return drop_duplicates(results, schema.sigmas, suppress=suppress)


def _poses(
    model: Model, dataset: Dataset, boxes: BoxSource | None, *, flip: bool
) -> Iterator[tuple[Id, Poses]]:
    """Yield every image's id and the poses found there."""
    if model.spec.is_bottom_up and (boxes is not None or flip):
        raise InputError(
            f"{model.name} is bottom-up and finds all people itself; leave out the boxes and the flip test"
        )
    find = boxes or annotated_boxes(dataset.truth)
    outside = 0
    for image_id in dataset.paths:
        image = dataset.image(image_id)
        if model.spec.is_bottom_up:
            yield image_id, model.poses(image)
        else:
            found = find(image_id, image)
            inside = found[reaching(found.boxes, image.shape[1::-1])]
            outside += len(found) - len(inside)
            yield image_id, model.poses(image, inside.boxes, inside.scores, flip=flip)
    if outside:
        warn(
            f"{counted(outside, 'box lies', 'boxes lie')} wholly outside the image: no poses there"
        )


def _as_they_are(poses: Poses, _codec: Codec) -> Poses:
    return poses


def _parametric(poses: Poses, codec: Codec) -> Poses:
    return merge_people(poses, constants_of(codec, len(poses.schema)))


def _parametric_paper(poses: Poses, _codec: Codec) -> Poses:
    return keep_confident(poses)


# Of the poses of an image, and of all results by OKS.
_MERGES: dict[PoseNMS, Callable[[Poses, Codec], Poses]] = {
    "oks": _as_they_are,
    "soft-oks": _as_they_are,
    "parametric": _parametric,
    "parametric-paper": _parametric_paper,
    "none": _as_they_are,
}
_SUPPRESSIONS: dict[PoseNMS, Suppress] = {"oks": oks_nms, "soft-oks": soft_oks_nms}


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
