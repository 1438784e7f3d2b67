"""edgepose eval: the ten COCO metrics of an artifact, or of a PyTorch checkpoint."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from edge.cli.checks import require_torch
from edge.cli.console import emit_json, emit_table, hint, number, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    category_option,
    det_classes_option,
    heads_option,
    json_option,
    keypoints_option,
    run_options,
    task_option,
    tuned_option,
)
from edge.cli.verb import Verb
from edge.cli.weights import load as load_model
from edge.evaluation.summary import FIGURES, EvalResult
from edge.model import Model, load
from runtimes.base import RunOptions
from runtimes.cache.names import find
from runtimes.errors import InputError, warn


@dataclass(frozen=True, slots=True)
class Described:
    """A checkpoint's weights, and what the user says of it, which an artifact knows itself."""

    weights: str | None = None
    task: str | None = None
    keypoints: str | None = None
    heads: int | None = None


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
@click.option(
    "--detector",
    type=ARTIFACT,
    help="Detector artifact to take boxes from, in place of the ground truth.",
)
@det_classes_option
@click.option("--flip", is_flag=True, help="Flip test: average with the mirrored input.")
@json_option
@tuned_option
@run_options
def command(
    model: str,
    described: Described,
    images: Path | None,
    annotations: Path,
    category: str | None,
    detector: Path | None,
    det_classes: str | None,
    flip: bool,
    as_json: bool,
    tuned: bool,
    options: RunOptions,
) -> None:
    """Compute the COCO AP of MODEL (an artifact, a checkpoint, or a name with --weights) on a COCO-style data set."""
    from edge.codecs.people import parse_classes
    from edge.evaluation.dataset import load_dataset
    from edge.evaluation.predict import predict
    from edge.evaluation.score import evaluate

    dataset = load_dataset(annotations, images, category)
    with ExitStack() as stack:
        opened = stack.enter_context(_open(model, described, options, tuned=tuned))
        if det_classes and not (detector or opened.spec.is_detector):
            raise InputError("--det-classes names classes of a detector: add --detector ARTIFACT")
        if opened.spec.is_detector and (detector or flip):
            raise InputError(
                f"{opened.name} is a detector: --detector and --flip are for pose models"
            )
        boxes = stack.enter_context(_load(detector, options, tuned=tuned)) if detector else None
        if boxes and not boxes.spec.is_detector:
            raise InputError(f"--detector {detector}: finds no boxes (task {boxes.spec.task})")
        with progress(opened.name, len(dataset.paths)) as advance:
            results = predict(
                opened,
                dataset,
                detector=boxes,
                flip=flip,
                det_classes=parse_classes(det_classes),
                advance=advance,
            )
        result = evaluate(opened, dataset, results)
    if not result.people:
        warn(f"{annotations}: no person in it is labelled, so AP is undefined")
    if as_json:
        emit_json(result)
    else:
        emit_table(*figure_table(result))
        given = "the detector's" if detector else "ground-truth"
        where = "" if opened.spec.is_bottom_up else f" in {given} boxes"
        kind = "boxes" if result.iou_type == "bbox" else f"keypoints{where}"
        say(
            f"{kind}, {result.people} people on {result.images} images{', flip test' if flip else ''}"
        )
    _say_assumptions(opened, flip=flip)
    hint(f"edgepose run SOURCE --{'detector' if result.iou_type == 'bbox' else 'pose'} {model}")


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
