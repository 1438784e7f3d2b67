"""edgepose run: poses of people in images, a video, a camera stream or drawn scenes, to files or a window."""

import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import click
import numpy as np

from edge.cli.console import emit_json, emit_table, hint, progress, say
from edge.cli.options import PATH, force_option, json_option, run_options, together
from edge.cli.outputs import Outputs
from edge.cli.signals import ctrl_c_ends
from edge.cli.verb import Verb
from edge.media.sinks import Sink
from edge.media.sources import Source, open_source
from edge.model import Model
from edge.pipeline import Pipeline, PoseNMS, Result
from edge.types import Frame, Poses
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import InputError, SourceError
from runtimes.registry import open_session

RANDOM_NOTE = "RANDOM WEIGHTS: for smoke tests only, these are not poses"
WINDOW = "edgepose"
# Qt aborts the whole process where it finds no display, so it is not asked.
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


@dataclass
class Tally:
    """Counts and times of a run."""

    people: list[int] = field(default_factory=list)
    detect_ms: list[float] = field(default_factory=list)
    pose_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one frame."""
        self.people.append(len(result.poses))
        if result.detected:
            self.detect_ms.append(result.timings.detect_ms)
        self.pose_ms.append(result.timings.pose_ms)
        self.total_ms.append(result.timings.total_ms)

    def report(self) -> dict[str, float | int | None]:
        """Return the summary, medians in milliseconds."""
        return {
            "frames": len(self.people),
            "frames_with_people": int(np.count_nonzero(self.people)),
            "poses": sum(self.people),
            "detections_run": len(self.detect_ms),
            "detect_p50_ms": _median(self.detect_ms),
            "pose_p50_ms": _median(self.pose_ms),
            "frame_p50_ms": _median(self.total_ms),
        }


@dataclass
class Recording:
    """A run in progress: its figures, and where results and annotated frames go."""

    sinks: list[Sink]
    pictures: Sink | None
    show: bool
    threshold: float
    note: str
    advance: Callable[[], None]
    tally: Tally = field(default_factory=Tally)

    def add(self, result: Result) -> bool:
        """Count, write and show one frame; False when the user closed the window."""
        self.tally.add(result)
        for sink in self.sinks:
            sink.write(result.frame, result.poses)
        self.advance()
        if not (self.pictures or self.show):
            return True
        drawn = annotate(result.frame, result.poses, self.threshold, self.note)
        if self.pictures:
            self.pictures.write(drawn, result.poses)
        return not self.show or _shown(drawn)


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Artifacts of the pipeline, and how it detects people and drops duplicates."""

    pose: Path | None
    detector: Path | None
    skip: str
    det_thr: float | None
    max_people: int | None
    pose_nms: PoseNMS


pipeline_options = together(
    click.option("--pose", type=PATH, help="A pose artifact."),
    click.option("--detector", type=PATH, help="A detector artifact. Default: the whole frame."),
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
        help="Duplicate poses of one person: keep the best, or (parametric) merge them.",
    ),
)
output_options = together(
    click.option("--out", type=PATH, help="Annotated FILE.mp4, or a directory of pictures."),
    click.option(
        "--save-json", "coco", type=PATH, help="COCO results; image_id is the frame index."
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
    if asked.pose is None:
        raise InputError(
            "say which pose artifact to run: --pose ARTIFACT (make one with `edgepose export`)"
        )
    every = _skip(asked.skip)
    outputs.check(force=force)
    if show:
        _require_display()
    pose_artifact = Artifact.open(asked.pose)
    detector_artifact = Artifact.open(asked.detector) if asked.detector else None
    note = banner(pose_artifact, detector_artifact)
    with ExitStack() as stack:
        frames = stack.enter_context(open_source(source))
        pipeline = Pipeline(
            _open(pose_artifact, options),
            _open(detector_artifact, options) if detector_artifact else None,
            skip=every,
            det_thr=asked.det_thr,
            max_people=asked.max_people,
            pose_nms=asked.pose_nms,
        )
        stack.enter_context(pipeline)
        # entered before the sinks, so that a second Ctrl-C cannot hit them while they are closed
        stop = stack.enter_context(ctrl_c_ends())
        recording = Recording(
            sinks=outputs.open_results(stack, force=force),
            pictures=outputs.open_pictures(stack, frames.fps, force=force),
            show=show,
            threshold=pipeline.pose.spec.thresholds.keypoint if kpt_thr is None else kpt_thr,
            note=note,
            advance=stack.enter_context(progress(source, frames.frame_count)),
        )
        lost = _stream(pipeline, frames, recording, stop)
    _report(recording, outputs, as_json)
    if lost:
        raise lost
    if stop.is_set():
        frames_done = len(recording.tally.people)
        say(f"edgepose: interrupted after {frames_done} frames; what was written is kept")
    keep = "add --out out.mp4 --save-json out.json to keep the results"
    hint(f"edgepose info {asked.pose}" if outputs.given else keep)
    return 130 if stop.is_set() else 0


def banner(*artifacts: Artifact | None) -> str:
    """Return the note for every picture where an artifact has random weights, "" elsewhere."""
    given = [artifact for artifact in artifacts if artifact]
    return RANDOM_NOTE if any(each.manifest.lineage.weights == "random" for each in given) else ""


def annotate(frame: Frame, poses: Poses, threshold: float, note: str) -> Frame:
    """Return the frame with its poses drawn, and the note below them."""
    from edge.media.draw import draw_poses, put_banner

    image = draw_poses(frame.image, poses, threshold)
    return Frame(put_banner(image, note) if note else image, frame.index, frame.time_s)


def _open(artifact: Artifact, options: RunOptions) -> Model:
    return Model(artifact.manifest, open_session(artifact, options), artifact.name)


def _skip(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--skip wants a number of frames from 1 up, not {text!r}")
    return int(text)


def _stream(
    pipeline: Pipeline, frames: Source, recording: Recording, stop: threading.Event
) -> SourceError | None:
    """Run until the frames end, the window is closed, or `stop` is set.

    Returns, instead of raising, the error of a live source that broke off: the recording until then is kept.
    """
    try:
        for result in pipeline.stream(frames):
            if not recording.add(result) or stop.is_set():
                break
    except SourceError as error:
        if not (frames.live and recording.tally.people):
            raise
        return error
    return None


def _require_display() -> None:
    if sys.platform == "linux" and not any(os.environ.get(name) for name in DISPLAYS):
        raise InputError("no display for --show; leave it out and use --out FILE.mp4")


def _shown(frame: Frame) -> bool:
    """Show one frame; False when the user pressed q or escape."""
    import cv2

    try:
        cv2.imshow(WINDOW, frame.image)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)
    except cv2.error as error:
        raise InputError(
            "cannot open a window here; leave --show out and use --out FILE.mp4"
        ) from error


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 3) if values else None


def _report(recording: Recording, outputs: Outputs, as_json: bool) -> None:
    """Print the figures, and say what was written."""
    report = recording.tally.report()
    if as_json:
        emit_json(report)
    else:
        emit_table(
            ["figure", "value"],
            [[name, "-" if value is None else str(value)] for name, value in report.items()],
        )
    if outputs.given:
        say(f"wrote {', '.join(map(str, outputs.given))}")
    if recording.note:
        say(recording.note)
