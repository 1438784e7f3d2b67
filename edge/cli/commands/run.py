"""edgepose run: poses of people in images, a video, a camera stream or drawn scenes, to files or a window."""

import dataclasses
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click

from edge.cli.chosen import choose_models
from edge.cli.console import hint
from edge.cli.options import (
    ARTIFACT,
    PATH,
    FloatRange,
    LoadOptions,
    det_classes_option,
    force_option,
    json_option,
    load_options,
    parse_skip,
    together,
    tuned_option,
)
from edge.cli.outputs import Outputs
from edge.cli.recording import banner, warn_of_drawn
from edge.cli.remote.arguments import forwarded
from edge.cli.remote.options import Remote, remote_options
from edge.cli.remote.run import RemoteRun, run_remote
from edge.cli.remote.sources import on_board, on_this_machine
from edge.cli.running.many import check_many, run_many
from edge.cli.running.next_step import next_step
from edge.cli.running.plan import Plan, plan_run
from edge.cli.running.setup import Setup, check_spares
from edge.cli.running.shard import parse_shard
from edge.cli.running.single import run_one
from edge.cli.serve import ServeOptions, open_preview, serve_options
from edge.cli.tally import emit_figures, emit_tables, say_tables
from edge.cli.verb import Verb
from edge.cli.window import require_display
from edge.codecs.people import parse_classes
from edge.media.live.limits import LiveLimits
from edge.model import Model
from edge.pipeline import Pipeline, PoseNMS, Skip, Smooth
from runtimes.artifact import Artifact
from runtimes.errors import InputError
from runtimes.registry import open_session


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Artifacts of the pipeline, and how it detects people and drops duplicates."""

    pose: Path | None
    detector: Path | None
    skip: str
    track: bool
    smooth: Smooth
    det_thr: float | None
    max_people: int | None
    pose_nms: PoseNMS
    tuned: bool
    det_classes: str | None


pipeline_options = together(
    click.option(
        "--pose", type=ARTIFACT, help="A pose artifact. Default: the last that `get` got."
    ),
    click.option(
        "--detector",
        type=ARTIFACT,
        help="A detector artifact. Default: the whole frame; without --pose, as there.",
    ),
    click.option(
        "--skip",
        default="1",
        show_default=True,
        help="Detect on frames 0, N, 2N, ..., or auto: when the frames give reason to.",
    ),
    click.option("--track", is_flag=True, help="Give each person an id that stays."),
    click.option(
        "--smooth",
        type=click.Choice(get_args(Smooth)),
        default="none",
        show_default=True,
        help="Filter keypoints over time.",
    ),
    click.option(
        "--det-thr",
        type=FloatRange(0, 1),
        help="Box score threshold. Default: 0.3 (parametric pose NMS: 0.1).",
    ),
    click.option("--max-people", type=click.IntRange(1), help="Most people in a frame."),
    click.option(
        "--pose-nms",
        type=click.Choice(get_args(PoseNMS)),
        default="oks",
        show_default=True,
        help="Duplicate poses of one person: keep the best, merge them (parametric: AlphaPose's code), or keep the "
        "most confident (parametric-paper: its paper's equations).",
    ),
    det_classes_option,
    tuned_option,
)
output_options = together(
    click.option(
        "--out",
        type=PATH,
        help="Annotated FILE.mp4, FILE.jpg for one picture, or a directory of pictures.",
    ),
    click.option(
        "--save-json",
        "coco",
        type=PATH,
        help="COCO results; image_id is the frame index. With image_name, frame and time_s.",
    ),
    click.option("--save-openpose", "openpose", type=PATH, help="A directory of OpenPose JSON."),
    click.option("--save-csv", "csv", type=PATH, help="A row for each person in a frame."),
    click.option(
        "--save-jsonl",
        "jsonl",
        type=PATH,
        help="JSON lines, one a frame, readable while they are written; - writes to stdout, and nothing else there.",
    ),
)


@click.command("run", cls=Verb)
@click.argument("sources", nargs=-1, required=True)
@pipeline_options
@click.option(
    "--kpt-thr", type=FloatRange(0, 1), help="Draw keypoints above. Default: the model's."
)
@output_options
@click.option("--show", is_flag=True, help="Show a window; q closes it.")
@serve_options
@click.option(
    "--shard",
    metavar="I/N",
    help="Of a folder of videos or of many files, run share I of N; finished ones are skipped.",
)
@click.option(
    "--give-up",
    "give_up_s",
    type=FloatRange(0),
    metavar="SECONDS",
    default=float("inf"),
    help="End with an error where a camera or stream is lost for so long; it is opened again until then. "
    "Default: never.",
)
@remote_options
@force_option
@json_option
@load_options
def command(
    sources: tuple[str, ...],
    asked: PipelineOptions,
    kpt_thr: float | None,
    outputs: Outputs,
    show: bool,
    serving: ServeOptions,
    shard: str | None,
    give_up_s: float,
    remote: Remote,
    force: bool,
    as_json: bool,
    options: LoadOptions,
) -> int:
    """Estimate poses in SOURCES: image, directory, glob, video, camera number, rtsp:// or http:// stream, or synth.

    Also a GStreamer pipeline ("a ! b"), frame_%05d.png, and - or raw:WxH:FORMAT@FPS for frames on stdin.

    Several sources run at the same time, and each has its own files: name directories for the results. The videos of
    a directory run one after another, and finished ones are skipped.
    """
    pose, detector = choose_models(asked.pose, asked.detector)
    every = parse_skip(asked.skip)
    if asked.det_classes and not detector:
        raise InputError("--det-classes names classes of a detector: add --detector ARTIFACT")
    _check_stdout(outputs, as_json=as_json)
    here = {"--tuned": asked.tuned, "--show": show, "--serve": serving.serve}
    ssh = remote.ssh(here=here)
    asked_sources, sources = sources, tuple(map(on_board if ssh else on_this_machine, sources))
    plan = plan_run(sources, parse_shard(shard) if shard else None)
    # those of the cache are found again without a name; bench wants one
    chosen = (pose, detector) if outputs.given else (asked.pose, asked.detector)
    models = dict(zip(("--pose", "--detector"), chosen, strict=True))
    _check_outputs(plan, outputs, show=show, force=force)
    if ssh:
        more = {"kpt_thr": kpt_thr, "shard": shard, "give_up_s": give_up_s}
        flags = {"force": force, "as_json": as_json}
        given = {**_values(asked), **_values(outputs), **_values(options), **more, **flags}
        arguments = _arguments(given, pose, detector, sources)
        artifacts = [Artifact.open(each) for each in (pose, detector) if each]
        there = RemoteRun(asked_sources, plan, outputs, artifacts, arguments, force)
        code = run_remote(ssh, remote.remote_python, there)
        if code == 0:
            hint(next_step(asked_sources, plan, models, outputs, remote.words))
        return code
    with ExitStack() as stack:
        preview = open_preview(serving, stack)
        pose_artifact = Artifact.open(pose)
        detector_artifact = Artifact.open(detector) if detector else None
        note = banner(pose_artifact, detector_artifact)
        warn_of_drawn(_other_than_drawn(sources), pose_artifact, detector_artifact)
        pipeline = stack.enter_context(
            _make_pipeline(pose_artifact, detector_artifact, asked, every, options)
        )
        threshold = pipeline.pose.spec.thresholds.keypoint if kpt_thr is None else kpt_thr
        if preview:
            named = filter(None, (pose_artifact, detector_artifact))
            preview.show_as([each.name for each in named], threshold, note)
        emit = emit_figures if as_json else say_tables if outputs.to_stdout else emit_tables
        limits = LiveLimits(give_up_s=give_up_s)
        setup = Setup(pipeline, outputs, force, threshold, note, emit, preview, limits)
        one = plan.way == "one"
        code = run_one(setup, plan.sources[0].source, show=show) if one else run_many(setup, plan)
    hint(next_step(sources, plan, models, outputs, remote.words))
    return code


def _check_stdout(outputs: Outputs, *, as_json: bool) -> None:
    """Raise InputError where JSON lines cannot have stdout."""
    if outputs.to_stdout and sys.stdout is None:
        raise InputError("--save-jsonl - writes to stdout, which is closed; name a FILE")
    if outputs.to_stdout and as_json:
        raise InputError("--save-jsonl - and --json both want stdout; name a FILE for the lines")


def _check_outputs(plan: Plan, outputs: Outputs, *, show: bool, force: bool) -> None:
    """Raise before work where a result cannot be written, or no window be shown."""
    if plan.way != "one":
        check_many(plan, outputs, show=show, force=force)
        return
    check_spares(outputs, plan.sources[0].source)
    outputs.check(force=force)
    outputs.check_parents()
    if show:
        require_display()


def _values(group: PipelineOptions | Outputs | LoadOptions) -> dict[str, Any]:
    return {each.name: getattr(group, each.name) for each in dataclasses.fields(group)}


def _arguments(
    given: dict[str, Any], pose: Path, detector: Path | None, sources: tuple[str, ...]
) -> list[str]:
    """Return the arguments of the same run on a board; given: values of options by their parameters' names."""
    models = [f"--pose={pose}", *([f"--detector={detector}"] if detector else [])]
    return [*models, *forwarded(click.get_current_context().command, given), "--", *sources]


def _make_pipeline(
    pose: Artifact,
    detector: Artifact | None,
    asked: PipelineOptions,
    every: Skip,
    options: LoadOptions,
) -> Pipeline:
    return Pipeline(
        _open(pose, asked, options),
        _open(detector, asked, options) if detector else None,
        skip=every,
        track=asked.track,
        smooth=asked.smooth,
        det_thr=asked.det_thr,
        max_people=asked.max_people,
        pose_nms=asked.pose_nms,
        det_classes=parse_classes(asked.det_classes),
    )


def _open(artifact: Artifact, asked: PipelineOptions, options: LoadOptions) -> Model:
    resolved = options.resolve(artifact, tuned=asked.tuned)
    return Model(artifact.manifest, open_session(artifact, resolved), artifact.name)


def _other_than_drawn(sources: tuple[str, ...]) -> str:
    return next((each for each in sources if each != "synth"), "synth")
