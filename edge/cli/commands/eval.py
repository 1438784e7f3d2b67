"""edgepose eval: the ten COCO metrics of an artifact, or of a PyTorch checkpoint, in annotated or detected boxes."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edge.cli.checks import require_torch
from edge.cli.console import emit_json, emit_table, hint, number, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    category_option,
    det_classes_option,
    force_option,
    heads_option,
    json_option,
    keypoints_option,
    run_options,
    task_option,
    together,
    tuned_option,
)
from edge.cli.outputs import check_reports, write_report
from edge.cli.verb import Verb
from edge.cli.weights import load as load_model
from edge.evaluation.summary import FIGURES, EvalResult
from edge.model import Model, load
from edge.pipeline import PoseNMS
from runtimes.base import RunOptions
from runtimes.cache.names import find
from runtimes.errors import InputError, warn

if TYPE_CHECKING:
    from edge.evaluation.box_sources import BoxSource
    from edge.evaluation.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Described:
    """A checkpoint's weights, and what the user says of it, which an artifact knows itself."""

    weights: str | None = None
    task: str | None = None
    keypoints: str | None = None
    heads: int | None = None


@dataclass(frozen=True, slots=True)
class GivenBoxes:
    """Where a top-down model's boxes come from, in place of the annotations, and which of them count."""

    detector: Path | None
    detections: Path | None
    det_thr: float | None
    det_classes: str | None

    def check(self) -> None:
        """Raise InputError for options that contradict each other."""
        if self.detector and self.detections:
            raise InputError("--detector and --detections are two sources of boxes; give one")
        if self.det_thr is not None and not (self.detector or self.detections):
            raise InputError("--det-thr is for boxes of --detector ARTIFACT or --detections FILE")

    def check_use(self, model: Model) -> None:
        """Raise InputError for options that the model has no use for."""
        if self.det_classes and not (self.detector or model.spec.is_detector):
            raise InputError("--det-classes names classes of a detector: add --detector ARTIFACT")
        if self.detections and (model.spec.is_detector or model.spec.is_bottom_up):
            raise InputError(
                f"{model.name} finds people itself: --detections is for top-down pose models"
            )

    def read(self, dataset: "Dataset") -> "BoxSource | None":
        """Read the file of boxes; None where there is none."""
        from edge.evaluation.box_sources import listed_boxes
        from edge.evaluation.detections import load_detections

        if not self.detections:
            return None
        return listed_boxes(load_detections(self.detections, dataset.truth, self.det_thr or 0))

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
        type=click.FloatRange(0, 1),
        help="Box score threshold. Default: 0 of --detections, the detector's own of --detector.",
    ),
    det_classes_option,
)


@click.command("eval", cls=Verb)
@click.argument("model")
@click.option("--weights", help="FILE, `download` or URL, for a catalogue name run in PyTorch.")
@task_option
@keypoints_option
@heads_option
@click.option("--images", type=PATH, help="Directory of the images.")
@click.option(
    "--annotations",
    type=PATH,
    required=True,
    help="COCO.json with ground truth.",
)
@category_option
@boxes_options
@click.option(
    "--pose-nms",
    type=click.Choice(get_args(PoseNMS)),
    help="Duplicate poses of one person: keep the best (oks: mmpose's, threshold .9), or (parametric) merge them. "
    "Default: oks.",
)
@click.option("--flip", is_flag=True, help="Flip test: average with the mirrored input.")
@click.option("--out", type=PATH, help="Write the COCO results, which other evaluators read.")
@force_option
@json_option
@tuned_option
@run_options
def command(
    model: str,
    described: Described,
    images: Path | None,
    annotations: Path,
    category: str | None,
    given: GivenBoxes,
    pose_nms: PoseNMS | None,
    flip: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
    tuned: bool,
    options: RunOptions,
) -> None:
    """Compute the COCO AP of MODEL (an artifact, a checkpoint, or a name with --weights) on a COCO-style data set."""
    from edge.codecs.people import parse_classes
    from edge.evaluation.dataset import load_dataset
    from edge.evaluation.predict import predict
    from edge.evaluation.result_file import encode_results
    from edge.evaluation.score import evaluate

    check_reports([out], force=force)
    given.check()
    dataset = load_dataset(annotations, images, category)
    listed = given.read(dataset)
    with ExitStack() as stack:
        opened = stack.enter_context(_open(model, described, options, tuned=tuned))
        _check_use(opened, given, pose_nms, flip=flip)
        boxes = listed or _detector_boxes(given, stack, options, tuned=tuned)
        with progress(opened.name, len(dataset.paths)) as advance:
            results = predict(
                opened,
                dataset,
                boxes=boxes,
                flip=flip,
                pose_nms=pose_nms or "oks",
                det_classes=parse_classes(given.det_classes),
                advance=advance,
            )
        result = evaluate(opened, dataset, results)
    if not result.people:
        warn(f"{annotations}: no person in it is labelled, so AP is undefined")
    if out:
        write_report(out, encode_results(results))
    if as_json:
        emit_json(result)
    else:
        emit_table(*figure_table(result))
        where = "" if opened.spec.is_bottom_up else f" in {given.source}"
        kind = "boxes" if result.iou_type == "bbox" else f"keypoints{where}"
        say(
            f"{kind}, {result.people} people on {result.images} images{', flip test' if flip else ''}"
        )
    _say_assumptions(opened, flip=flip)
    hint(f"edgepose run SOURCE --{'detector' if result.iou_type == 'bbox' else 'pose'} {model}")


def _check_use(model: Model, given: GivenBoxes, pose_nms: PoseNMS | None, *, flip: bool) -> None:
    """Raise InputError for an option that the model has no use for."""
    given.check_use(model)
    if model.spec.is_detector and (given.detector or flip or pose_nms):
        raise InputError(
            f"{model.name} is a detector: --detector, --flip and --pose-nms are for pose models"
        )
    if model.spec.is_bottom_up and pose_nms:
        raise InputError(f"{model.name} is bottom-up: --pose-nms is for top-down models")


def _detector_boxes(
    given: GivenBoxes, stack: ExitStack, options: RunOptions, *, tuned: bool
) -> "BoxSource | None":
    """Open the detector; None where there is none."""
    from edge.codecs.people import parse_classes
    from edge.evaluation.box_sources import detector_boxes

    if not given.detector:
        return None
    detector = stack.enter_context(_load(given.detector, options, tuned=tuned))
    if not detector.spec.is_detector:
        raise InputError(f"--detector {given.detector}: finds no boxes (task {detector.spec.task})")
    if given.det_thr is not None:
        detector = detector.with_threshold(given.det_thr)
    return detector_boxes(detector, parse_classes(given.det_classes))


def _say_assumptions(model: Model, *, flip: bool) -> None:
    """Say what the keypoint set lacks, and what was assumed in its place."""
    from edge.evaluation.score import DEFAULT_SIGMA, assumed_sigmas

    if not model.spec.gives_keypoints:
        return
    name = model.schema.name
    if assumed_sigmas(model.schema):
        say(
            f"keypoint set {name} has no sigmas: AP with {DEFAULT_SIGMA} for each keypoint; "
            "give sigmas with --keypoints when you export"
        )
    if flip and not model.schema.left_right:
        say(f"keypoint set {name} has no left/right pairs: the flip test swapped none")


def figure_table(result: EvalResult) -> tuple[list[str], list[list[str]]]:
    """Return the header and a row for each metric: its value over all, then over each part or level."""
    columns = [result, *result.breakdown.values()]
    heads = ["all", *result.breakdown] if result.breakdown else ["value"]
    rows = [[name, *(number(each.figures()[name]) for each in columns)] for name in FIGURES]
    return ["figure", *heads], rows


def _open(model: str, described: Described, options: RunOptions, *, tuned: bool) -> Model:
    artifact = find(model) if described.weights is None else Path(model)
    if artifact and artifact.is_dir():
        if described != Described():
            raise InputError(
                "--weights, --task, --keypoints and --heads are for a checkpoint or a name; an artifact has its own"
            )
        return _load(artifact, options, tuned=tuned)
    if tuned:
        raise InputError(f"--tuned is for artifacts; {model} runs in PyTorch")
    require_torch()
    from export.torch_session import TorchSession

    loaded = load_model(model, **asdict(described))
    return Model(loaded.spec, TorchSession(loaded.module, loaded.spec, options.threads))


def _load(artifact: Path, options: RunOptions, *, tuned: bool) -> Model:
    return load(
        artifact,
        threads=options.threads,
        precision=options.precision,
        accelerator=options.accelerator,
        tuned=tuned,
    )
