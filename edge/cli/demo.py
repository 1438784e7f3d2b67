"""edgepose demo: the whole road with nothing but this package. Export, check, run on drawn people, on four runtimes.

Until trained weights ship, the weights are random, and every line and picture says so. A random detector finds nobody,
so the pose model is given the drawn people's true boxes.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import numpy as np

from edge.cli.options import force_option, json_option
from edge.cli.output import describe, emit_json, emit_table, hint, progress, say, verdict
from edge.cli.run_cmd import RANDOM_NOTE, annotate
from edge.model import load
from edge.sinks import CocoSink, VideoSink
from edge.synth import Scene, draw_clip, write_clip
from edge.types import F32, Frame
from runtimes.spec import Runtime
from runtimes.store import refuse_existing

if TYPE_CHECKING:
    from export import Exported

DETECTOR, POSE = "rtmdet-nano", "rtmpose-t"
RUNTIMES: tuple[Runtime, ...] = ("onnxruntime", "openvino", "ncnn", "tflite")
SEED, FRAMES, FPS = 7, 72, 24.0


@dataclass(frozen=True)
class Row:
    """One runtime's line of the summary; medians over the clip's frames, all people of a frame together."""

    runtime: str
    detector: str
    pose: str
    boxes_found: int
    poses: int
    detect_p50_ms: float
    pose_p50_ms: float


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True)
@force_option
@json_option
def command(out: Path, force: bool, as_json: bool) -> int:
    """Export two models to four runtimes, check each against PyTorch, and run a drawn clip."""
    refuse_existing(out / "summary.json", force=force)
    say(f"{RANDOM_NOTE}; the people are drawn")
    results = _export(out / "artifacts", force=force)
    if refused := [result for result in results if not result.passed]:
        for result in refused:
            say(f"refused: {result.path}: {describe(result.parity[0])}")
        return 3
    scenes = list(draw_clip(SEED, frames=FRAMES, fps=FPS))
    (out / "clip.mp4").unlink(missing_ok=True)
    write_clip(out / "clip.mp4", scenes, FPS)
    half = len(RUNTIMES)
    pairs = list(zip(results[:half], results[half:], strict=True))
    with progress("run", len(pairs)) as advance:
        rows = []
        for detector, pose in pairs:
            rows.append(_run(detector, pose, scenes, out))
            advance(pose.target.runtime)
    (out / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    _show(rows, as_json)
    say(f"{RANDOM_NOTE}; wrote annotated.mp4, poses.json, clip.mp4 and summary.json into {out}")
    hint(f"edgepose verify {results[-1].path}")
    return 0


def _export(out: Path, *, force: bool) -> "list[Exported]":
    from export import Target, export_model, load_weights

    targets = [Target(runtime, "fp32") for runtime in RUNTIMES]
    results = []
    with progress("export", 2 * (len(targets) + 1)) as advance:
        for name in (DETECTOR, POSE):
            loaded = load_weights(name, "random")
            results += export_model(loaded, targets, out, force=force, progress=advance)
    return results


def _run(detector: "Exported", pose: "Exported", scenes: list[Scene], out: Path) -> Row:
    """Run one runtime over the clip; each writes the same pictures, and the last one's stay."""
    detect_ms: list[float] = []
    pose_ms: list[float] = []
    found = posed = 0
    with (
        load(detector.path) as detector_model,
        load(pose.path) as pose_model,
        VideoSink(out / "annotated.mp4", FPS, overwrite=True) as video,
        CocoSink(out / "poses.json", overwrite=True) as results,
    ):
        for index, scene in enumerate(scenes):
            frame = Frame(scene.image, index, index / FPS)
            start = time.perf_counter()
            found += len(detector_model.detect(scene.image))
            between = time.perf_counter()
            poses = pose_model.poses(scene.image, _true_boxes(scene))
            detect_ms.append((between - start) * 1e3)
            pose_ms.append((time.perf_counter() - between) * 1e3)
            posed += len(poses)
            results.write(frame, poses)
            video.write(
                annotate(frame, poses, pose_model.spec.thresholds.keypoint, RANDOM_NOTE), poses
            )
    return Row(
        runtime=pose.target.runtime,
        detector=f"{verdict(detector.passed)}: {describe(detector.parity[0])}",
        pose=f"{verdict(pose.passed)}: {describe(pose.parity[0])}",
        boxes_found=found,
        poses=posed,
        detect_p50_ms=round(float(np.median(detect_ms)), 2),
        pose_p50_ms=round(float(np.median(pose_ms)), 2),
    )


def _true_boxes(scene: Scene) -> F32:
    return np.array([person.box for person in scene.people], np.float32).reshape(-1, 4)


def _show(rows: list[Row], as_json: bool) -> None:
    if as_json:
        emit_json([asdict(row) for row in rows])
        return
    table = [[str(value) for value in asdict(row).values()] for row in rows]
    emit_table(list(asdict(rows[0])), table)
