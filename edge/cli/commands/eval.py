"""edgepose eval: the ten COCO metrics of an artifact, or of a PyTorch checkpoint, in annotated or detected boxes."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edge.cli.box_options import ALL, GivenBoxes, boxes_options, read_sets
from edge.cli.checks import require_torch
from edge.cli.console import emit_json, emit_table, hint, number, progress, say
from edge.cli.options import (
    PATH,
    force_option,
    heads_option,
    json_option,
    keypoints_option,
    run_options,
    size_option,
    task_option,
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
    from collections.abc import Sequence

    from edge.evaluation.box_sources import BoxSource
    from edge.evaluation.coco import CocoResult
    from edge.evaluation.dataset import Dataset

_MOST_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Described:
    """A checkpoint's weights, and what the user says of it, which an artifact knows itself."""

    weights: str | None = None
    task: str | None = None
    keypoints: str | None = None
    heads: int | None = None
    size: str = ""


@click.command("eval", cls=Verb)
@click.argument("model")
@click.option("--weights", help="FILE, `download` or URL, for a catalogue name run in PyTorch.")
@task_option
@keypoints_option
@heads_option
@size_option
@click.option("--images", type=PATH, help="Directory of the images.")
@click.option(
    "--annotations",
    type=PATH,
    required=True,
    help="COCO.json with ground truth.",
)
@click.option(
    "--category",
    help="Category to score, by name or id; `all`: the mean over those with keypoints, as AP-10K is scored. "
    "Default: person, or the only one with keypoints.",
)
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
    from edge.evaluation.result_file import encode_results
    from edge.evaluation.score import evaluate, evaluate_categories, protocol_of

    check_reports([out], force=force)
    given.check(category)
    sets = read_sets(given, annotations, images, category)
    with ExitStack() as stack:
        opened = stack.enter_context(_open(model, described, options, tuned=tuned))
        _check_use(opened, given, pose_nms, category, flip=flip)
        for dataset, _ in sets:  # refuses annotations of other keypoints, before the work
            protocol_of(opened, dataset.truth)
        detected = _detector_boxes(given, stack, options, tuned=tuned)
        asked = [(dataset, boxes or detected) for dataset, boxes in sets]
        results = _predict(opened, asked, given, pose_nms or "oks", flip=flip)
        datasets = [dataset for dataset, _ in sets]
        result = (
            evaluate_categories(opened, datasets, results)
            if category == ALL
            else evaluate(opened, datasets[0], results)
        )
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


def _predict(
    model: Model,
    sets: "Sequence[tuple[Dataset, BoxSource | None]]",
    given: GivenBoxes,
    pose_nms: PoseNMS,
    *,
    flip: bool,
) -> "list[CocoResult]":
    from edge.codecs.people import parse_classes
    from edge.evaluation.predict import predict

    results = []
    with progress(model.name, sum(len(dataset.paths) for dataset, _ in sets)) as advance:
        for dataset, boxes in sets:
            results += predict(
                model,
                dataset,
                boxes=boxes,
                flip=flip,
                pose_nms=pose_nms,
                det_classes=parse_classes(given.det_classes),
                advance=advance,
            )
    return results


def _check_use(
    model: Model,
    given: GivenBoxes,
    pose_nms: PoseNMS | None,
    category: str | None,
    *,
    flip: bool,
) -> None:
    """Raise InputError for an option that the model has no use for."""
    given.check_use(model)
    if model.spec.is_detector and (given.detector or flip or pose_nms):
        raise InputError(
            f"{model.name} is a detector: --detector, --flip and --pose-nms are for pose models"
        )
    if model.spec.is_bottom_up and pose_nms:
        raise InputError(f"{model.name} is bottom-up: --pose-nms is for top-down models")
    if category == ALL and (model.spec.is_detector or model.spec.is_bottom_up):
        raise InputError(f"{model.name}: --category {ALL} is for top-down pose models")


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
    """Return the header and a row for each metric: its value over all, then over each part or level.

    Many categories are a row each.
    """
    columns = {"all": result, **result.breakdown}
    if len(columns) > _MOST_COLUMNS:
        rows = [
            [name, *(number(value) for value in each.figures().values())]
            for name, each in columns.items()
        ]
        return ["category", *FIGURES], rows
    heads = list(columns) if result.breakdown else ["value"]
    rows = [
        [name, *(number(each.figures()[name]) for each in columns.values())] for name in FIGURES
    ]
    return ["figure", *heads], rows


def _open(model: str, described: Described, options: RunOptions, *, tuned: bool) -> Model:
    artifact = find(model) if described.weights is None else Path(model)
    if artifact and artifact.is_dir():
        if described != Described():
            raise InputError(
                "--weights, --task, --keypoints, --heads and --size describe a checkpoint; an artifact has its own"
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
