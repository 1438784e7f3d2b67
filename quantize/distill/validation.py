"""Validation of a pose network on held-out people: AP, PCK and pixel error, through the SDK's own pipeline."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from edge.evaluation.coco import (
    CocoResult,
    Id,
    as_results,
    boxes_xyxy,
    keypoints_xyv,
    people_by_image,
)
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.keypoint_metrics import pck, pixel_errors
from edge.evaluation.keypoint_names import with_keypoint_set
from edge.evaluation.score import score
from edge.model import Model
from edge.schema import KeypointSchema
from edge.synth import DrawnVersion
from edge.types import F32
from export.torch_session import TorchSession
from quantize.distill.data.instances import drawn_annotations
from quantize.distill.data.sources import VAL_SEED, drawn_folder
from quantize.distill.loop.distributed import ALONE, Processes
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

DRAWN_PICTURES = 100
PCK_THRESHOLD = 0.2  # of the longer side of the person's box


@dataclass(frozen=True, slots=True)
class PoseMetrics:
    """AP in ground-truth boxes (None: undefined), PCK@0.2 over max(w, h) of the box, and the numbers they are over.

    px: the median distance of labelled keypoints from the truth, in pixels of the picture.
    """

    ap: float | None
    pck: float
    px: float
    people: int
    keypoints: int

    @property
    def curves(self) -> dict[str, float | None]:
        """Return the metrics that are followed during training."""
        return {"ap": self.ap, "pck": self.pck, "px": self.px}

    @property
    def table(self) -> dict[str, float | None]:
        """Return what is shown of them, by column title."""
        pck = f"PCK@{PCK_THRESHOLD}"
        return {"AP": self.ap, pck: self.pck, "median px": self.px, "people": self.people}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields, for JSON."""
        return asdict(self)


def validation_set(val: str, images: str, schema: KeypointSchema, category: str = "") -> Dataset:
    """Return the validation set: a COCO.json, or drawn people that no training set contains.

    Raises InputError for another keypoint set than the student's.
    """
    dataset = load_dataset(val, images or None, category or None) if val else drawn_dataset()
    name = val or "drawn people"
    truth, own = with_keypoint_set(dataset.truth, schema, name)
    if own.names != schema.names:
        raise InputError(
            f"--val {name}: has the keypoints of {own.name}, the student those of {schema.name}; give --val of the "
            "student's keypoints"
        )
    if not any(person.labelled for person in truth.people):
        raise InputError(f"--val {name}: no person in it has a labelled keypoint")
    return replace(dataset, truth=truth)


def drawn_dataset(pictures: int = DRAWN_PICTURES, version: DrawnVersion = 1) -> Dataset:
    """Return drawn people for validation, rendered on the first call."""
    return load_dataset(drawn_annotations(drawn_folder(), VAL_SEED, pictures, version))


def validate(
    module: nn.Module,
    spec: ModelSpec,
    dataset: Dataset,
    processes: Processes = ALONE,
) -> PoseMetrics:
    """Return the metrics of a PyTorch network, on the device where it is; it keeps its mode."""
    was_training = module.training
    model = Model(spec, TorchSession(module, spec))
    try:
        return validate_model(model, dataset, processes=processes)
    finally:
        module.train(was_training)


def validate_model(
    model: Model,
    dataset: Dataset,
    advance: Callable[[], object] = lambda: None,
    processes: Processes = ALONE,
) -> PoseMetrics:
    """Return the metrics of any top-down pose model, in ground-truth boxes; each process takes a part of the images."""
    part = processes.part(list(enumerate(dataset.paths)))
    own = list(_predictions(model, dataset, part, advance))
    found = sorted(processes.gather(own), key=lambda each: each.place)
    records = [record for each in found for record in each.records]
    summary = score(model, dataset, records)
    xy = np.concatenate([each.xy for each in found])
    labels = np.concatenate([each.labels for each in found])
    boxes = np.concatenate([each.boxes for each in found])
    truths, labelled = labels[..., :2], labels[..., 2] > 0
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    errors = pixel_errors(xy, truths, labelled)
    return PoseMetrics(
        ap=summary.AP,
        pck=pck(xy, truths, labelled, sides, PCK_THRESHOLD),
        px=float(np.median(errors)),
        people=summary.people,
        keypoints=len(errors),
    )


@dataclass(frozen=True, slots=True)
class _Prediction:
    """The people of one image: its place in the set, COCO results, keypoints (N, K, 2), labels (N, K, 3), boxes."""

    place: int
    records: list[CocoResult]
    xy: F32
    labels: F32
    boxes: F32


def _predictions(
    model: Model,
    dataset: Dataset,
    images: Sequence[tuple[int, Id]],
    advance: Callable[[], object],
) -> Iterator[_Prediction]:
    """Yield what the model finds in these images, as far as people are labelled there."""
    truth = people_by_image(dataset.truth)
    for place, image_id in images:
        people = [person for person in truth[image_id] if person.labelled]
        if people:
            boxes = boxes_xyxy(people)
            poses = model.poses(dataset.image(image_id), boxes)
            records = as_results(poses.to_coco(image_id, dataset.truth.person))
            yield _Prediction(place, records, poses.xy, keypoints_xyv(people), boxes)
        advance()
