"""Rows of RTMPose's tables 11 and 12 on this machine's CPU: one thread, batch 1, 50 runs of warm-up, 200 timed ones.

python benchmarks/paper_rows.py docs/measured --frames PICTURES [--weights random] [--detector-weights FILE]

Exports RTMPose t to l and RTMDet-nano to ONNX Runtime and OpenVINO, measures them with `edgepose bench`, and each pose
model behind the detector with `edgepose bench --pipeline` on the frames. Times do not depend on the weights: random
ones stand for what cannot be downloaded. Rows that are not valid, since other processes used the cores, are left out,
and the page says so. On a busy machine, `chrt -f 10 taskset -c 1` before it gives the rows a core of their own.
Writes paper_rows.json and paper_rows.md. --work keeps artifacts and runs; a second call measures what is missing there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

# arXiv 2303.07399, tables 11 and 12: ONNX Runtime on an i7-11700, one thread; "50 times warmup and 200 times inference"
PAPER_MS = {"rtmpose-t": 3.204, "rtmpose-s": 4.481, "rtmpose-m": 11.060, "rtmpose-l": 18.847}
PAPER_PIPELINE_MS = {
    "rtmpose-t": 12.403,
    "rtmpose-s": 16.658,
    "rtmpose-m": 26.613,
    "rtmpose-l": 36.311,
}
DETECTOR = "rtmdet-nano"
RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
FORMATS = {"onnxruntime": "onnx", "openvino": "openvino"}
# The kernel takes such a process off its core for 50 ms of each second (sched_rt_runtime_us).
REAL_TIME = (
    " The machine was busy: these rows had one core to themselves (`chrt -f`), the other ran other work; p90 and p99,"
    " in which the kernel's pauses of such processes show, and means are left out."
)
PROTOCOL = ("--threads", "1", "--iterations", "200", "--warmup", "50")


@dataclass(frozen=True)
class Paths:
    """Folders of artifacts and of RUN.json files."""

    artifacts: Path
    runs: Path

    def artifact(self, model: str, runtime: str) -> Path:
        """Return the fp32 artifact of a model."""
        (found,) = self.artifacts.glob(f"{model}-*.{runtime}-fp32")
        return found


def main() -> None:
    """Export what is missing, measure, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=Path, required=True, help="Pictures of the pipeline.")
    parser.add_argument("--weights", default="download", help="Of the pose models.")
    parser.add_argument("--detector-weights", default="download")
    parser.add_argument("--work", type=Path, help="Keeps artifacts and runs for another call.")
    parser.add_argument("--pipelines", default=",".join(PAPER_PIPELINE_MS), help="Pose models.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        paths = Paths(work / "artifacts", work / "runs")
        paths.runs.mkdir(parents=True, exist_ok=True)
        export(paths, DETECTOR, args.detector_weights)
        for model in PAPER_MS:
            export(paths, model, args.weights)
        single = bench_models(paths)
        pipelines = {
            runtime: {
                model: bench_pipeline(paths, runtime, model, args.frames)
                for model in args.pipelines.split(",")
            }
            for runtime in RUNTIMES
        }
    record = {
        "weights": args.weights,
        "real_time": real_time(),
        "models": single,
        "pipelines": pipelines,
    }
    (args.out / "paper_rows.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    text = page(single, pipelines, args.weights)
    (args.out / "paper_rows.md").write_text(text)
    print(text)


def export(paths: Paths, model: str, weights: str) -> None:
    """Export a model to both runtimes, unless that has been done."""
    formats = [
        name
        for runtime, name in FORMATS.items()
        if not list(paths.artifacts.glob(f"{model}-*.{runtime}-fp32"))
    ]
    if formats:
        where = ("--format", ",".join(formats), "--out", str(paths.artifacts))
        edgepose("export", model, "--weights", weights, *where)


def bench_models(paths: Paths) -> Any:
    """Return the run of all models on both runtimes, in turns."""
    artifacts = [
        str(paths.artifact(model, runtime))
        for model in (*PAPER_MS, DETECTOR)
        for runtime in RUNTIMES
    ]
    return bench(paths.runs / "models.json", *artifacts)


def bench_pipeline(paths: Paths, runtime: str, model: str, frames: Path) -> Any:
    """Return the run of one pose model behind the detector, detecting in every frame."""
    pair = (
        "--detector",
        paths.artifact(DETECTOR, runtime),
        "--pose",
        paths.artifact(model, runtime),
    )
    out = paths.runs / f"{model}.{runtime}.json"
    return bench(out, "--pipeline", str(frames), *map(str, pair))


def bench(out: Path, *arguments: str) -> Any:
    """Run `edgepose bench` by the paper's protocol and return its RUN.json, an earlier one where it is there."""
    if not out.exists():
        edgepose("bench", *arguments, *PROTOCOL, "--out", str(out))
    return msgspec.json.decode(out.read_bytes())


def edgepose(*arguments: str) -> None:
    """Run a command of this checkout; raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "edgepose", *arguments], check=True)


def page(single: Any, pipelines: Any, weights: str) -> str:
    """Return both tables as Markdown."""
    machine = single["machine"]
    rows = {(row["model"], row["runtime"]): row for row in single["rows"]}
    whole = {
        (model, runtime): run["pipelines"][0]
        for runtime, runs in pipelines.items()
        for model, run in runs.items()
    }
    lines = [*header("one model")]
    lines += [line(model, rows, PAPER_MS.get(model)) for model in (*PAPER_MS, DETECTOR)]
    people = {round(row["people"], 2) for row in whole.values()}
    lines += ["", *header(f"{DETECTOR} + pose, a frame")]
    lines += [
        line(model, whole, paper)
        for model, paper in PAPER_PIPELINE_MS.items()
        if (model, next(iter(RUNTIMES))) in whole
    ]
    runs = [single, *(run for each in pipelines.values() for run in each.values())]
    load = max(run["load_before"] or 0.0 for run in runs)
    versions = ", ".join(f"{name} {version}" for name, version in single["versions"].items())
    isa = " ".join(machine["isa"])
    figure = "p50" if real_time() else "p50 (mean)"
    note = (
        f"{figure} in ms; {machine['cpu_model']} ({isa}), {machine['allowed_cores']} cores allowed, one thread, f32,"
        f" 50 runs of warm-up, 200 timed; {versions}. Pose weights: {weights}. Load average before: up to {load:.1f}."
        f" Pipeline: detection in every frame, {' or '.join(map(str, sorted(people)))} people a frame. A row in which"
        f" other processes used the core is left out.{REAL_TIME if real_time() else ''}"
    )
    return "\n".join([*lines, "", note, ""])


def header(title: str) -> list[str]:
    """Return the first lines of a table."""
    engines = " | ".join(f"{name}, here" for name in RUNTIMES.values())
    return [f"| {title} | paper: ONNX Runtime, i7-11700 | {engines} |", "|---|---|---|---|"]


def line(model: str, rows: Any, paper: float | None) -> str:
    """Return the line of a model: the paper's figure, and ours where the row is valid."""
    cells = [cell(rows[model, runtime]) for runtime in RUNTIMES]
    return f"| {model} | {paper if paper is not None else ''} | {' | '.join(cells)} |"


def cell(row: Any) -> str:
    """Return p50 and mean of a valid row."""
    if not row["valid"]:
        return "not valid"
    return f"{row['p50_ms']:.2f}" + ("" if real_time() else f" ({row['mean_ms']:.2f})")


def real_time() -> bool:
    """Return whether this process, and those that it starts, go before all others on their cores."""
    return os.sched_getscheduler(0) == os.SCHED_FIFO


if __name__ == "__main__":
    main()
