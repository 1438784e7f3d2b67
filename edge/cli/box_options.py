"""Options of `edgepose eval` that say which boxes poses are estimated in, and the data sets with those boxes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.options import ARTIFACT, PATH, FloatRange, det_classes_option, together
from edge.model import Model
from runtimes.errors import InputError

if TYPE_CHECKING:
    from edge.evaluation.box_sources import BoxSource
    from edge.evaluation.dataset import Dataset

ALL = "all"  # of --category: each that has keypoints


@dataclass(frozen=True, slots=True)
class GivenBoxes:
    """Where a top-down model's boxes come from, in place of the annotations, and which of them count."""

    detector: Path | None
    detections: Path | None
    det_thr: float | None
    det_classes: str | None

    def check(self, category: str | None) -> None:
        """Raise InputError for options that contradict each other."""
        if self.detector and self.detections:
            raise InputError("--detector and --detections are two sources of boxes; give one")
        if self.det_thr is not None and not (self.detector or self.detections):
            raise InputError("--det-thr is for boxes of --detector ARTIFACT or --detections FILE")
        if self.detector and category == ALL:
            raise InputError(
                f"--category {ALL}: a detector's boxes have no category of the annotations; give --detections FILE"
            )

    def check_use(self, model: Model) -> None:
        """Raise InputError for options that the model has no use for."""
        if self.det_classes and not (self.detector or model.spec.is_detector):
            raise InputError("--det-classes names classes of a detector: add --detector ARTIFACT")
        if self.detections and (model.spec.is_detector or model.spec.is_bottom_up):
            raise InputError(
                f"{model.name} finds people itself: --detections is for top-down pose models"
            )

    @property
    def source(self) -> str:
        """Where the boxes come from, in words."""
        if self.detections:
            return f"boxes of {self.detections}"
        return "the detector's boxes" if self.detector else "ground-truth boxes"


boxes_options = together(
    click.option(
        "--detector",
        type=ARTIFACT,
        help="Detector artifact to take boxes from, in place of the ground truth.",
    ),
    click.option(
        "--detections",
        type=PATH,
        help="COCO detection results (a list of image_id, category_id, bbox, score) to take boxes from.",
    ),
    click.option(
        "--det-thr",
        type=FloatRange(0, 1),
        help="Box score threshold. Default: 0 of --detections, the detector's own of --detector.",
    ),
    det_classes_option,
)


def read_sets(
    given: GivenBoxes, annotations: Path, images: Path | None, category: str | None
) -> "list[tuple[Dataset, BoxSource | None]]":
    """Read the data set, or one a category, each with the boxes of a file of them."""
    from edge.evaluation.box_sources import listed_boxes
    from edge.evaluation.dataset import load_category_datasets, load_dataset
    from edge.evaluation.detections import load_detections

    if category != ALL:
        sets = [load_dataset(annotations, images, category)]
    else:
        sets = load_category_datasets(annotations, images)
    if not given.detections:
        # an image without a category's animals need not be opened for each of fifty categories
        shown = [each.only({a.image_id for a in each.truth.people}) for each in sets]
        return [(each, None) for each in (shown if category == ALL else sets)]
    truths = [each.truth for each in sets]
    listed = load_detections(given.detections, truths, given.det_thr or 0)
    if category == ALL:
        sets = [
            each.only({image_id for image_id, there in boxes.items() if len(there)})
            for each, boxes in zip(sets, listed, strict=True)
        ]
    return [(each, listed_boxes(boxes)) for each, boxes in zip(sets, listed, strict=True)]
