"""How good a student is on people it does not learn from: through the one pipeline, as its artifacts will be judged."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import nn

from edge.evaluation.coco import (
    CocoResult,
    Dataset,
    as_results,
    boxes_xyxy,
    keypoints_xyv,
    load_dataset,
    people_by_image,
)
from edge.evaluation.keypoint_metrics import pck, pixel_errors
from edge.evaluation.score import score
from edge.image import read_image
from edge.model import Model
from edge.schema import KeypointSchema
from edge.types import F32
from export.torch_session import TorchSession
from quantize.distill.data.instances import drawn_annotations
from quantize.distill.data.sources import VAL_SEED, drawn_folder
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

DRAWN_PICTURES = 100
# A keypoint within this share of the longer side of its person's box counts as found.
NEAR = 0.2


@dataclass(frozen=True, slots=True)
class Marks:
    """Average precision in ground-truth boxes (None: undefined), PCK@0.2 over max(w, h) of the box, and over how many.

    px: the median distance of labelled keypoints from the truth, in pixels of the picture.
    """

    ap: float | None
    pck: float
    px: float
    people: int
    keypoints: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        return asdict(self)


def held_out(val: str, images: str, schema: KeypointSchema) -> Dataset:
    """Return whom a student is judged by: a COCO.json, or drawn people whom no training sees.

    Raises InputError for another keypoint set than the student's.
    """
    dataset = load_dataset(val, images or None) if val else drawn_dataset()
    counts = {len(each.keypoints) // 3 for each in dataset.truth.annotations if each.keypoints}
    if counts != {len(schema)}:
        raise InputError(
            f"--val {val or 'drawn'}: has people of {sorted(counts)} keypoints, the student has {len(schema)}"
        )
    return dataset


def drawn_dataset(pictures: int = DRAWN_PICTURES) -> Dataset:
    """Return drawn people to be judged by, rendered the first time."""
    return load_dataset(drawn_annotations(drawn_folder(), VAL_SEED, pictures))


def judge(module: nn.Module, spec: ModelSpec, dataset: Dataset) -> Marks:
    """Return a network's marks; it is left in the mode it was in."""
    was_training = module.training
    model = Model(spec, TorchSession(module, spec))
    try:
        return judge_model(model, dataset)
    finally:
        module.train(was_training)


def judge_model(
    model: Model, dataset: Dataset, advance: Callable[[], object] = lambda: None
) -> Marks:
    """Return the marks of any top-down pose model, in ground-truth boxes."""
    records: list[CocoResult] = []
    compared: list[tuple[F32, F32, F32]] = []
    truth = people_by_image(dataset.truth)
    for image_id, path in dataset.paths.items():
        people = [person for person in truth[image_id] if person.labelled]
        if people:
            boxes = boxes_xyxy(people)
            poses = model.poses(read_image(path), boxes)
            records += as_results(poses.to_coco(image_id))
            compared.append((poses.xy, keypoints_xyv(people), boxes))
        advance()
    summary = score(model, dataset, records)
    xy, labels, boxes = (np.concatenate(each) for each in zip(*compared, strict=True))
    truths, labelled = labels[..., :2], labels[..., 2] > 0
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    errors = pixel_errors(xy, truths, labelled)
    return Marks(
        ap=summary.AP,
        pck=pck(xy, truths, labelled, sides, NEAR),
        px=float(np.median(errors)),
        people=summary.people,
        keypoints=len(errors),
    )
