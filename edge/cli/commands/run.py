"""edgepose run: poses of people in images, a video, a camera stream or drawn scenes, to files or a window."""

import glob
import itertools
import shlex
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click

from devices.tuned import tuned_options
from edge.cli.chosen import choose_models
from edge.cli.console import hint, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    det_classes_option,
    force_option,
    is_whole,
    json_option,
    run_options,
    together,
    tuned_option,
)
from edge.cli.outputs import Outputs
from edge.cli.recording import Recording, banner, report_run, warn_of_drawn
from edge.cli.signals import ctrl_c_ends
from edge.cli.verb import Verb
from edge.cli.window import require_display
from edge.codecs.people import parse_classes
from edge.media.source import Source
from edge.media.sources import open_source
from edge.model import Model
from edge.pipeline import Pipeline, PoseNMS
from edge.types import counted
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError, SourceError
from runtimes.registry import open_session


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Artifacts of the pipeline, and how it detects people and drops duplicates."""

    pose: Path | None
    detector: Path | None
    skip: str
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
    click.option("--skip", default="1", show_default=True, help="Detect on frames 0, N, 2N, ..."),
    click.option(
        "--det-thr",
        type=click.FloatRange(0, 1),
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
)


@click.command("run", cls=Verb)
@click.argument("source")
@pipeline_options
@click.option(
    "--kpt-thr", type=click.FloatRange(0, 1), help="Draw keypoints above. Default: the model's."
)
@output_options
@click.option("--show", is_flag=True, help="Show a window; q closes it.")
@force_option
@json_option
@run_options
def command(
    source: str,
    asked: PipelineOptions,
    kpt_thr: float | None,
    outputs: Outputs,
    show: bool,
    force: bool,
    as_json: bool,
    options: RunOptions,
) -> int:
    """Estimate poses in SOURCE: image, directory, glob, video, camera number, rtsp:// or http:// stream, or synth."""
    pose, detector = choose_models(asked.pose, asked.detector)
    every = _skip(asked.skip)
    if asked.det_classes and not detector:
        raise InputError("--det-classes names classes of a detector: add --detector ARTIFACT")
    outputs.check(force=force)
    if show:
        require_display()
    pose_artifact = Artifact.open(pose)
    detector_artifact = Artifact.open(detector) if detector else None
    note = banner(pose_artifact, detector_artifact)
    warn_of_drawn(source, pose_artifact, detector_artifact)
    with ExitStack() as stack:
        pipeline = Pipeline(
            _open(pose_artifact, asked, options),
            _open(detector_artifact, asked, options) if detector_artifact else None,
            skip=every,
            det_thr=asked.det_thr,
            max_people=asked.max_people,
            pose_nms=asked.pose_nms,
            det_classes=parse_classes(asked.det_classes),
        )
        stack.enter_context(pipeline)
        # after the models, since a camera's frames do not wait for them to load
        frames = stack.enter_context(open_source(source))
        # entered before the sinks, so that a second Ctrl-C cannot hit them while they are closed
        stop = stack.enter_context(ctrl_c_ends())
        recording = Recording(
            sinks=outputs.open_results(stack, force=force),
            pictures=outputs.open_pictures(stack, frames, force=force),
            show=show,
            threshold=pipeline.pose.spec.thresholds.keypoint if kpt_thr is None else kpt_thr,
            note=note,
            advance=stack.enter_context(progress(source, frames.frame_count)),
        )
        lost = _stream(pipeline, frames, recording, stop)
    report_run(recording, pipeline, frames.losses, as_json=as_json)
    if lost:
        raise lost
    if stop.is_set():
        frames_done = counted(recording.tally.frames, "frame")
        say(f"edgepose: interrupted after {frames_done}; what was written is kept")
    hint(
        shlex.join(["edgepose", "bench", *map(str, filter(None, (pose, detector)))])
        if outputs.given
        else _keeping(source, asked, frames)
    )
    return 130 if stop.is_set() else 0


def _open(artifact: Artifact, asked: PipelineOptions, options: RunOptions) -> Model:
    if asked.tuned:
        options = tuned_options(artifact, options)
    return Model(artifact.manifest, open_session(artifact, options), artifact.name)


def _keeping(source: str, asked: PipelineOptions, frames: Source) -> str:
    """Return the command that keeps the results."""
    models = (("--pose", asked.pose), ("--detector", asked.detector))
    flags = [(flag, str(path)) for flag, path in models if path]
    picture = "poses.jpg" if frames.frame_count == 1 else "poses.mp4"
    out = "poses" if Path(source).is_dir() or glob.has_magic(source) else picture
    keep = ["--out", out, "--save-json", "poses.json"]
    return shlex.join(["edgepose", "run", source, *itertools.chain(*flags), *keep])


def _skip(text: str) -> int:
    if not is_whole(text) or int(text) < 1:
        raise InputError(f"--skip wants a number of frames from 1 up, not {text!r}")
    return int(text)


def _stream(
    pipeline: Pipeline, frames: Source, recording: Recording, stop: threading.Event
) -> SourceError | None:
    """Run until the frames end, the window is closed, or `stop` is set.

    Returns, instead of raising, the error of a live source that broke off: the recording until then is kept.
    """
    began = time.perf_counter()
    try:
        for result in pipeline.stream(frames):
            if not recording.add(result) or stop.is_set():
                break
    except SourceError as error:
        if not (frames.live and recording.tally.frames):
            raise
        return error
    finally:
        recording.tally.wall_s = time.perf_counter() - began
    return None
