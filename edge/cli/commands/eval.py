"""edgepose eval: the figures of an artifact, or of a PyTorch checkpoint, by its task's protocol."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from edge.cli.box_options import ALL, GivenBoxes, boxes_options, read_sets
from edge.cli.console import command_line, emit_json, emit_table, hint, number, progress, say
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
from edge.cli.weights import Described, load_artifact, open_model
from edge.evaluation.dense.depth import Align
from edge.evaluation.summary import EvalResult, ProtocolResult, figure_table
from edge.model import Model
from edge.pipeline import PoseNMS
from edge.schema import KeypointSchema, load_schema
from runtimes.base import RunOptions
from runtimes.errors import InputError, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.evaluation.box_sources import BoxSource
    from edge.evaluation.coco import CocoResult
    from edge.evaluation.dataset import Dataset
    from edge.evaluation.protocols.shared import SharedSet


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
    help="COCO.json with ground truth; for a dense model a directory of maps named like the images.",
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
    help="Duplicate poses of one person: keep the best (oks: mmpose's, threshold .9), merge them (parametric: "
    "AlphaPose's code), or keep the most confident (parametric-paper: its paper). Default: oks.",
)
@click.option(
    "--common",
    metavar="SET",
    help="Score the keypoints alone that the model and this set share (sapiens308 and coco133: 114).",
)
@click.option(
    "--depth-align",
    type=click.Choice(get_args(Align)),
    default="scale-shift",
    show_default=True,
    help="Fit of a relative depth to the truth, for each image.",
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
    common: str | None,
    depth_align: Align,
    flip: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
    tuned: bool,
    options: RunOptions,
) -> None:
    """Score MODEL (an artifact, a checkpoint, or a name with --weights) by its task's protocol.

    Poses and boxes: COCO's AP on a COCO-style set; whole bodies by part, CrowdPose by level, MPII by PCKh. Dense
    models: mIoU, depth errors or angular errors.
    """
    from edge.evaluation.protocols.choose import (
        check_truth,
        score_alone,
        score_categories,
        score_on,
    )

    check_reports([out], force=force)
    given.check(category)
    if annotations.is_dir():
        _refuse_pose_options(given, category, common, pose_nms, out, flip=flip)
        with open_model(model, described, options, tuned=tuned) as opened:
            _evaluate_maps(opened, images, annotations, depth_align, as_json=as_json)
        hint(command_line("info", model))
        return
    sets = read_sets(given, annotations, images, category)
    with ExitStack() as stack:
        opened = stack.enter_context(open_model(model, described, options, tuned=tuned))
        _check_use(opened, given, pose_nms, category, flip=flip)
        datasets = [dataset for dataset, _ in sets]
        shared = _shared(opened, datasets, annotations, common)
        if shared is None:
            check_truth(opened, datasets)
        detected = _detector_boxes(given, stack, options, tuned=tuned)
        asked = [(dataset, boxes or detected) for dataset, boxes in sets]
        into = shared.schema if shared else None
        results = _predict(opened, asked, given, pose_nms or "oks", into, flip=flip)
        score = score_categories if category == ALL else score_alone
        score = score_on(shared) if shared else score
        figures = score(opened, datasets, results)
    if not figures.people:
        warn(f"{annotations}: no person in it is labelled, so AP is undefined")
    _write_results(out, results)
    said = f"{_kind(opened, given)}, {figures.people} people on {figures.images} images"
    _print(figures, f"{said}, flip test" if flip else said, as_json=as_json)
    _say_assumptions(opened, flip=flip)
    role = "--detector" if opened.spec.is_detector else "--pose"
    hint(command_line("run", "SOURCE", role, model))


def _shared(
    model: Model, datasets: "Sequence[Dataset]", annotations: Path, common: str | None
) -> "SharedSet | None":
    """Return what is scored of the annotations with --common SET."""
    from edge.evaluation.protocols.shared import shared_set

    if common is None:
        return None
    if not model.spec.gives_keypoints or len(datasets) > 1:
        raise InputError(f"--common {common} is for pose models, on one category")
    shared = shared_set(model, datasets[0].truth, load_schema(common), str(annotations))
    say(f"{len(shared.schema)} keypoints of {model.schema.name} and {common} are scored")
    return shared


def _print(result: EvalResult | ProtocolResult, said: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(result)
        return
    header, rows = figure_table(result)
    emit_table(header, [[_cell(value) for value in row] for row in rows])
    say(said)


def _cell(value: str | float | None) -> str:
    return value if isinstance(value, str) else number(value)


def _kind(model: Model, given: GivenBoxes) -> str:
    """Return what was scored, in words."""
    if model.spec.is_detector:
        return "boxes"
    return "keypoints" if model.spec.is_bottom_up else f"keypoints in {given.source}"


def _refuse_pose_options(
    given: GivenBoxes,
    category: str | None,
    common: str | None,
    pose_nms: PoseNMS | None,
    out: Path | None,
    *,
    flip: bool,
) -> None:
    """Raise InputError for options that mean nothing with maps."""
    options = {
        "--detector": given.detector,
        "--detections": given.detections,
        "--det-classes": given.det_classes,
        "--category": category,
        "--common": common,
        "--pose-nms": pose_nms,
        "--flip": flip,
        "--out": out,
    }
    if used := [name for name, value in options.items() if value]:
        raise InputError(
            f"{', '.join(used)} with a directory of maps: these options are for poses and boxes"
        )


def _evaluate_maps(
    model: Model, images: Path | None, folder: Path, align: Align, *, as_json: bool
) -> None:
    from edge.evaluation.dense.evaluate import evaluate_maps
    from edge.media.image_files import image_files

    pictures = images or folder.parent / "images"
    if not pictures.is_dir():
        raise InputError(f"no directory {pictures}; say where the images are with --images DIR")
    found = image_files(pictures)
    with progress(model.name, len(found)) as advance:
        result = evaluate_maps(model, found, folder, align=align, advance=advance)
    _print(result, f"{result.protocol} on {result.images} images", as_json=as_json)


def _write_results(out: Path | None, results: "Sequence[CocoResult]") -> None:
    if out:
        from edge.evaluation.result_file import encode_results

        write_report(out, encode_results(results))


def _predict(
    model: Model,
    sets: "Sequence[tuple[Dataset, BoxSource | None]]",
    given: GivenBoxes,
    pose_nms: PoseNMS,
    into: KeypointSchema | None,
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
                into=into,
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
    from edge.evaluation.protocols.mpii import is_mpii

    given.check_use(model)
    if model.spec.is_detector and (given.detector or flip or pose_nms):
        raise InputError(
            f"{model.name} is a detector: --detector, --flip and --pose-nms are for pose models"
        )
    if model.spec.is_bottom_up and pose_nms:
        raise InputError(f"{model.name} is bottom-up: --pose-nms is for top-down models")
    if model.spec.is_dense:
        raise InputError(
            f"{model.name} gives a map (task {model.spec.task}): give --annotations DIR, maps named like the images"
        )
    if is_mpii(model) and (given.detector or given.detections or pose_nms or category == ALL):
        raise InputError(
            f"{model.name} has MPII's keypoints: PCKh is of one pose in each annotated box; leave out --detector, "
            f"--detections, --pose-nms and --category {ALL}"
        )
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
    detector = stack.enter_context(load_artifact(given.detector, options, tuned=tuned))
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
