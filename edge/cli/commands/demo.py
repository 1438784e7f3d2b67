"""edgepose demo: two models exported to four runtimes, checked, and run on a drawn clip; downloads nothing.

The models are those of the checkout's `weights/`, trained on drawn people. A task that has none there gets random
weights, and then every message and picture says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import numpy as np

from edge.bench.conditions import load_average
from edge.cli.checks import require_torch
from edge.cli.console import (
    command_line,
    describe,
    emit_json,
    emit_table,
    hint,
    progress,
    say,
    verdict,
)
from edge.cli.drawn_score import drift_px, score_clip
from edge.cli.options import PATH, force_option, json_option, setting
from edge.cli.recording import RANDOM_NOTE, annotate
from edge.cli.summary import report_written
from edge.media.sinks import CocoSink, VideoSink
from edge.model import Model
from edge.pipeline import Pipeline, Result
from edge.synth import Scene, draw_clip, write_clip
from edge.types import Frame
from runtimes.files import atomic_file, refuse_existing
from runtimes.spec import Runtime, Task
from runtimes.threads import allowed_cores

if TYPE_CHECKING:
    from export import Exported, LoadedModel

TASKS: tuple[Task, ...] = ("detect", "pose-topdown")
# Models that get random weights, for a task without bundled ones.
UNTRAINED: dict[Task, str] = {"detect": "rtmdet-nano", "pose-topdown": "rtmpose-t"}
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino", "ncnn", "tflite")
SEED, FRAMES, FPS = 7, 72, 24.0
DET_THR, KPT_THR = 0.5, 0.3
PYTORCH = "pytorch"
# Processes for each core from which on times say little; exports, which come before, take one.
BUSY = 2
# Columns of the table: heading, field of a row.
COLUMNS = {
    "runtime": "runtime",
    "people drawn": "drawn",
    "found": "found",
    "missed": "missed",
    "false positives": "false_positives",
    "error px": "error_px",
    "ms a frame": "frame_p50_ms",
    "drift px": "drift_p95_px",
}
LEGEND = (
    "found: by a pose whose box overlaps the person's (IoU .5); error: median distance of visible keypoints from where "
    "they were drawn; ms a frame: median of all stages; drift: 95th percentile of keypoints' distances from PyTorch's"
)


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one runtime over the clip; counts are of people in frames, times medians, distances clip pixels.

    detector, pose: verdicts of the export against PyTorch, empty for PyTorch itself. unpaired: poses that only PyTorch
    or only this runtime has.
    """

    runtime: str
    detector: str
    pose: str
    drawn: int
    found: int
    missed: int
    false_positives: int
    poses: int
    error_px: float | None
    detect_p50_ms: float
    pose_p50_ms: float
    frame_p50_ms: float
    drift_p95_px: float | None
    unpaired: int


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
    note = RANDOM_NOTE if any(each.lineage.weights == "random" for each in loaded) else ""
    say("; ".join(filter(None, (*map(_described, loaded), note, "the people are drawn"))))
    results = _export(loaded, out / "artifacts", force=force)
    if refused := [result for result in results if not result.passed]:
        report_written(refused)
        hint("edgepose doctor")
        return 3
    half = len(RUNTIMES)
    both = zip(results[:half], results[half:], strict=True)
    pairs: dict[str, tuple[Exported, Exported]] = dict(zip(RUNTIMES, both, strict=True))
    scenes = list(draw_clip(SEED, frames=FRAMES, fps=FPS))
    write_clip(out / "clip.mp4", scenes, FPS)
    load = load_average() or 0
    runs = _run(loaded, pairs, scenes)
    rows = [_row(name, pairs.get(name), runs, scenes) for name in runs]
    shown = min(rows[1:], key=lambda row: row.frame_p50_ms)
    pictured = f"{shown.runtime}, {shown.frame_p50_ms:.0f} ms a frame"
    _write(runs[shown.runtime], out, f"{note}; {pictured}" if note else pictured)
    with atomic_file(out / "summary.json") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    _show(rows, as_json)
    if load > BUSY * allowed_cores():
        say(f"other processes used the cores (load average {load:.1f}): the times mean little")
    say(f"wrote annotated.mp4, poses.json, clip.mp4, summary.json and artifacts/ into {out}")
    say(f"annotated.mp4 and poses.json are of {shown.runtime}, the fastest here")
    if note:
        say(note)
    detector, pose = pairs[shown.runtime]
    models = ("--pose", pose.path, "--detector", detector.path)
    how = ("--det-thr", DET_THR, "--out", "mine.mp4")
    hint(command_line("run", out / "clip.mp4", *models, *how))
    say(
        "now your own video: edgepose get rtmpose-s rtmdet-nano && edgepose run VIDEO.mp4 --out poses.mp4"
    )
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


def _run(
    loaded: "list[LoadedModel]",
    pairs: "dict[str, tuple[Exported, Exported]]",
    scenes: list[Scene],
) -> dict[str, list[Result]]:
    """Run PyTorch's models and every runtime's over the clip, all through the same pipeline; PyTorch comes first."""
    runs = {}
    with progress("run", len(pairs) + 1) as advance:
        for name in (PYTORCH, *pairs):
            with _opened(loaded, pairs.get(name)) as pipeline:
                frames = (Frame(scene.image, i, i / FPS) for i, scene in enumerate(scenes))
                runs[name] = list(pipeline.stream(frames, stages="sequential"))
            advance(name)
    return runs


@contextmanager
def _opened(
    loaded: "list[LoadedModel]", pair: "tuple[Exported, Exported] | None"
) -> Iterator[Pipeline]:
    """Open the pipeline of a runtime's two artifacts; of PyTorch for None."""
    from export.torch_session import TorchSession

    if pair:
        pipeline = Pipeline(pose=pair[1].path, detector=pair[0].path, det_thr=DET_THR)
    else:
        detector, pose = (Model(each.spec, TorchSession(each.module, each.spec)) for each in loaded)
        pipeline = Pipeline(pose=pose, detector=detector, det_thr=DET_THR)
    with pipeline:
        yield pipeline


def _row(
    name: str,
    pair: "tuple[Exported, Exported] | None",
    runs: dict[str, list[Result]],
    scenes: Sequence[Scene],
) -> Row:
    results = runs[name]
    poses = [result.poses for result in results]
    drift, unpaired = drift_px([result.poses for result in runs[PYTORCH]], poses)
    detector, pose = (
        (f"{verdict(each.passed)}: {describe(each.parity[0])}" for each in pair)
        if pair
        else ("", "")
    )
    return Row(
        runtime=name,
        detector=detector,
        pose=pose,
        **asdict(score_clip(scenes, poses)),
        poses=sum(map(len, poses)),
        detect_p50_ms=_median([result.timings.detect_ms for result in results]),
        pose_p50_ms=_median([result.timings.pose_ms for result in results]),
        frame_p50_ms=_median([result.timings.total_ms for result in results]),
        drift_p95_px=drift,
        unpaired=unpaired,
    )


def _write(results: list[Result], out: Path, note: str) -> None:
    """Write the annotated clip, with the note on every frame, and the poses as COCO results."""
    with (
        VideoSink(out / "annotated.mp4", FPS, overwrite=True) as video,
        CocoSink(out / "poses.json", overwrite=True) as records,
    ):
        for result in results:
            records.write(result.frame, result.poses)
            video.write(annotate(result, KPT_THR, note), result.poses)


def _median(times_ms: list[float]) -> float:
    return round(float(np.median(times_ms)), 2)


def _show(rows: list[Row], as_json: bool) -> None:
    if as_json:
        emit_json([asdict(row) for row in rows])
        return
    for row in rows[1:]:
        say(f"{row.runtime} against PyTorch: detector {row.detector}; pose {row.pose}")
    table = [
        [
            "-" if getattr(row, field) is None else str(getattr(row, field))
            for field in COLUMNS.values()
        ]
        for row in rows
    ]
    emit_table(list(COLUMNS), table)
    say(LEGEND)
    for row in rows:
        if row.unpaired:
            say(
                f"{row.runtime}: {row.unpaired} poses are only in its results or only in {PYTORCH}'s"
            )
