"""edgepose demo: two models exported to four runtimes, checked, and run on a drawn clip; downloads nothing.

The models are those of the checkout's `weights/`, trained on drawn people. A task that has none there gets random
weights, and then every message and picture says so.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import numpy as np

from edge.cli.checks import require_torch
from edge.cli.console import describe, emit_json, emit_table, hint, progress, say, verdict
from edge.cli.options import PATH, force_option, json_option, setting
from edge.cli.recording import RANDOM_NOTE, annotate
from edge.cli.summary import report_written
from edge.media.draw import draw_boxes
from edge.media.sinks import CocoSink
from edge.media.video_sink import VideoSink
from edge.model import load
from edge.nms.overlap import pairwise_iou
from edge.synth import Scene, draw_clip, write_clip
from edge.types import F32, Frame
from runtimes.files import atomic_file, refuse_existing
from runtimes.spec import Runtime, Task

if TYPE_CHECKING:
    from export import Exported, LoadedModel

TASKS: tuple[Task, ...] = ("detect", "pose-topdown")
# Models that get random weights, for a task without bundled ones.
UNTRAINED: dict[Task, str] = {"detect": "rtmdet-nano", "pose-topdown": "rtmpose-t"}
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino", "ncnn", "tflite")
SEED, FRAMES, FPS = 7, 72, 24.0
BOX_SCORE, FOUND_IOU = 0.3, 0.5


@dataclass(frozen=True)
class Row:
    """Figures of one runtime; medians over the clip's frames, all people of a frame together.

    `drawn` people are in the clip, counted frame by frame; `found` of them have a box at IoU .5 or more.
    """

    runtime: str
    detector: str
    pose: str
    drawn: int
    found: int
    boxes: int
    poses: int
    detect_p50_ms: float
    pose_p50_ms: float


@click.command("demo")
@setting(["--out"], PATH, Path("demo"), "Directory of the results.")
@click.option(
    "--weights", type=PATH, help="Folder weights/ of a checkout; an installed wheel has none."
)
@force_option
@json_option
def command(out: Path, weights: Path | None, force: bool, as_json: bool) -> int:
    """Export two models to four runtimes, check each against PyTorch, and run a drawn clip."""
    require_torch()
    from export.bundled import require_bundled

    folder = require_bundled(weights)
    refuse_existing(out / "summary.json", force=force)
    loaded = _models(folder)
    note = _note(loaded)
    say("; ".join(filter(None, (*map(_described, loaded), note, "the people are drawn"))))
    results = _export(loaded, out / "artifacts", force=force)
    if refused := [result for result in results if not result.passed]:
        report_written(refused)
        hint("edgepose doctor")
        return 3
    scenes = list(draw_clip(SEED, frames=FRAMES, fps=FPS))
    write_clip(out / "clip.mp4", scenes, FPS)
    half = len(RUNTIMES)
    pairs = list(zip(results[:half], results[half:], strict=True))
    with progress("run", len(pairs)) as advance:
        rows = []
        for detector, pose in pairs:
            rows.append(_run(detector, pose, scenes, out, note))
            advance(pose.target.runtime)
    with atomic_file(out / "summary.json") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    _show(rows, as_json)
    say(f"wrote annotated.mp4, poses.json, clip.mp4, summary.json and artifacts/ into {out}")
    if note:
        say(note)
    hint(f"edgepose verify {results[-1].path}")
    return 0


def _models(folder: Path) -> "list[LoadedModel]":
    """Return the detector and the pose model: weights bundled in `folder`, else random ones."""
    from export import load_checkpoint, load_weights
    from export.bundled import bundled_for

    loaded = []
    for task in TASKS:
        ready = bundled_for(task)
        loaded.append(
            load_checkpoint(folder / ready.file)
            if ready
            else load_weights(UNTRAINED[task], "random")
        )
    return loaded


def _note(loaded: "list[LoadedModel]") -> str:
    """Return the note for every picture where one of the models has random weights, "" elsewhere."""
    return RANDOM_NOTE if any(each.lineage.weights == "random" for each in loaded) else ""


def _described(loaded: "LoadedModel") -> str:
    trained = "random weights" if loaded.lineage.weights == "random" else "trained on drawn people"
    return f"{loaded.spec.model}: {trained}"


def _export(loaded: "list[LoadedModel]", out: Path, *, force: bool) -> "list[Exported]":
    from export import Target, export_model

    targets = [Target(runtime, "fp32") for runtime in RUNTIMES]
    results = []
    with progress("export", len(loaded) * (len(targets) + 1)) as advance:
        for each in loaded:
            results += export_model(each, targets, out, force=force, progress=advance)
    return results


def _run(detector: "Exported", pose: "Exported", scenes: list[Scene], out: Path, note: str) -> Row:
    """Run one runtime over the clip; each writes the same files, and the last one's stay."""
    detect_ms: list[float] = []
    pose_ms: list[float] = []
    drawn = found = boxes = posed = 0
    with (
        load(detector.path) as opened,
        load(pose.path) as pose_model,
        VideoSink(out / "annotated.mp4", FPS, overwrite=True) as video,
        CocoSink(out / "poses.json", overwrite=True) as results,
    ):
        detector_model = opened.with_threshold(BOX_SCORE)
        for index, scene in enumerate(scenes):
            frame = Frame(scene.image, index, index / FPS)
            start = time.perf_counter()
            people = detector_model.detect(scene.image)
            between = time.perf_counter()
            poses = pose_model.poses(scene.image, people.boxes, people.scores)
            detect_ms.append((between - start) * 1e3)
            pose_ms.append((time.perf_counter() - between) * 1e3)
            drawn += len(scene.people)
            found += _found(scene, people.boxes)
            boxes += len(people)
            posed += len(poses)
            results.write(frame, poses)
            pictured = Frame(draw_boxes(frame.image, people), frame.index, frame.time_s)
            video.write(annotate(pictured, poses, pose_model.spec.thresholds.keypoint, note), poses)
    return Row(
        runtime=pose.target.runtime,
        detector=f"{verdict(detector.passed)}: {describe(detector.parity[0])}",
        pose=f"{verdict(pose.passed)}: {describe(pose.parity[0])}",
        drawn=drawn,
        found=found,
        boxes=boxes,
        poses=posed,
        detect_p50_ms=round(float(np.median(detect_ms)), 2),
        pose_p50_ms=round(float(np.median(pose_ms)), 2),
    )


def _found(scene: Scene, boxes: F32) -> int:
    """Count the drawn people that one of the boxes (N, 4) matches."""
    if not scene.people or not len(boxes):
        return 0
    truth = np.stack([person.box for person in scene.people])
    return int((pairwise_iou(truth, boxes).max(axis=1) >= FOUND_IOU).sum())


def _show(rows: list[Row], as_json: bool) -> None:
    if as_json:
        emit_json([asdict(row) for row in rows])
        return
    table = [[str(value) for value in asdict(row).values()] for row in rows]
    emit_table(list(asdict(rows[0])), table)
