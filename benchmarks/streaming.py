"""Frames a second of the streaming engine against the slowest stage alone and the sequential path, on every runtime.

    edgepose demo && python benchmarks/streaming.py demo/artifacts demo/clip.mp4 docs/measured

One engine thread a model, so that stages have cores to run on side by side. The slowest stage's own rate is 1000 / its
mean milliseconds in the sequential path, where it has the machine to itself. Stages that wait for the frame before are
in effect one stage of their source: the second reading takes them as one. Rounds of both paths take turns; shares are
of one round, figures the median over rounds; a round in which other processes used the cores is repeated, as often
again as rounds are asked for. --runtime, --setting and --missing measure some and keep the rows of the others.
"""

import argparse
import os
import platform
import statistics
from collections.abc import Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import chain, islice
from operator import mul
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge.model import Model, load
from edge.pipeline import Pipeline, Result
from runtimes.adapters.free_cores import cores_left, read_cpu_times

RUNTIMES = ("ncnn", "openvino", "onnxruntime", "tflite")
STAGES = ("load", "detect", "transform", "pose", "post")
# options of the pipeline, and the stages of which one runs at a time for frames of one source
WAYS: dict[str, tuple[dict[str, object], tuple[str, ...]]] = {
    "skip 1, one person": ({"max_people": 1}, ()),
    "skip 1": ({}, ()),
    "skip 3": ({"skip": 3}, ("transform", "pose", "post")),
    "skip 1, track, smooth": ({"track": True, "smooth": "one-euro"}, ("transform", "pose", "post")),
    "skip auto, track, smooth": (
        {"skip": "auto", "track": True, "smooth": "one-euro"},
        ("detect", "transform", "pose", "post"),
    ),
}
SOURCES = (1, 2)
WARM_UP = 8  # frames
# Rounds in which other processes used more cores than this are left out.
OTHERS = 0.05


class Row(msgspec.Struct, frozen=True):
    """One setting: mean milliseconds of the stages alone, and frames a second.

    cpu_ms: CPU time of a frame, of all threads. rate_sequential, rate_stream: from the first result on; rate_slowest:
    of the slowest stage alone; rate_waiting: of the slowest where the stages that wait for the frame before count as
    one; share, share_waiting: rate_stream of these; possible: the highest share that the waiting stages and the CPU
    time of a frame leave. rounds: those in which the machine was ours. latency: median from a frame being read to its
    result.
    """

    runtime: str
    setting: str
    sources: int
    rounds: int
    detections: int
    stage_ms: dict[str, float]
    cpu_sequential_ms: float
    cpu_stream_ms: float
    rate_sequential: float
    rate_slowest: float
    rate_waiting: float
    rate_stream: float
    share: float
    share_waiting: float
    possible: float
    latency_sequential_ms: float
    latency_stream_ms: float


class Record(msgspec.Struct, frozen=True):
    """streaming.json."""

    pose: str
    detector: str
    source: str
    frames: int
    rounds: int
    cores: int
    machine: str
    rows: list[Row]


@dataclass(frozen=True)
class Turn:
    """One run over all sources: frames a second, CPU milliseconds a frame, cores others used, and the results."""

    rate: float
    cpu_ms: float
    others: float
    results: list[Result]

    def mean_ms(self, stage: str) -> float:
        """Return the mean milliseconds of a stage."""
        return float(np.mean([getattr(one.timings, f"{stage}_ms") for one in self.results]))

    def latency_ms(self) -> float:
        """Return the median from a frame being read to its result."""
        return statistics.median(one.timings.latency_ms for one in self.results)


def run(pipeline: Pipeline, source: str, frames: int, sources: int, stages: str) -> Turn:
    """Run over as many frames of the clip, taken `sources` times: at once, or one after the other where sequential."""
    if stages == "sequential":
        each = [pipeline.stream(source, stages="sequential") for _ in range(sources)]
        results = chain.from_iterable(islice(one, frames // sources) for one in each)
    elif sources == 1:
        results = pipeline.stream(source)
    else:
        results = pipeline.stream_many([source] * sources)
    with closing(results) if stages == "threads" else nullcontext():
        kept = [next(results)]  # opening the clip is no part of the rate
        before = read_cpu_times()
        kept += islice(results, frames - 1)
        after = read_cpu_times()
    if before is None or after is None:
        raise SystemExit("this system does not report the use of its cores")
    took, used, count = after.wall_s - before.wall_s, after.own_s - before.own_s, len(kept) - 1
    return Turn(count / took, used * 1e3 / count, _cores() - cores_left(before, after), kept)


def measure(pipeline: Pipeline, setting: str, sources: int, asked: argparse.Namespace) -> Row:
    """Measure one setting."""
    ways = ("sequential", "threads")
    for way in ways:
        run(pipeline, asked.source, WARM_UP, sources, way)
    rounds: list[list[Turn]] = []
    own: list[list[Turn]] = []
    while len(own) < asked.rounds and len(rounds) < 2 * asked.rounds:
        pair = [run(pipeline, asked.source, asked.frames, sources, way) for way in ways]
        rounds.append(pair)
        own += [pair] * (max(turn.others for turn in pair) < OTHERS)
    alone, streamed = zip(*(own or rounds), strict=True)
    stage_ms = {stage: _median(turn.mean_ms(stage) for turn in alone) for stage in STAGES}
    slowest = [max(turn.mean_ms(stage) for stage in STAGES) for turn in alone]
    cpu_ms = _median(turn.cpu_ms for turn in alone)
    waiting = [
        max(ms, sum(turn.mean_ms(stage) for stage in WAYS[setting][1]) / sources)
        for turn, ms in zip(alone, slowest, strict=True)
    ]
    rates = [turn.rate / 1e3 for turn in streamed]
    return Row(
        runtime=asked.runtime,
        setting=setting,
        sources=sources,
        rounds=len(own),
        detections=sum(one.detected for one in alone[0].results),
        stage_ms={stage: round(value, 3) for stage, value in stage_ms.items()},
        cpu_sequential_ms=round(cpu_ms, 2),
        cpu_stream_ms=round(_median(turn.cpu_ms for turn in streamed), 2),
        rate_sequential=round(_median(turn.rate for turn in alone), 2),
        rate_slowest=round(_median(1e3 / each for each in slowest), 2),
        rate_waiting=round(_median(1e3 / each for each in waiting), 2),
        rate_stream=round(_median(turn.rate for turn in streamed), 2),
        share=round(_median(map(mul, rates, slowest)), 3),
        share_waiting=round(_median(map(mul, rates, waiting)), 3),
        possible=round(_median(slowest) / max(_median(waiting), cpu_ms / _cores()), 3),
        latency_sequential_ms=round(_median(turn.latency_ms() for turn in alone), 2),
        latency_stream_ms=round(_median(turn.latency_ms() for turn in streamed), 2),
    )


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def measure_setting(
    pose: Model, detector: Model, setting: str, asked: argparse.Namespace
) -> list[Row]:
    """Measure a setting with one source, and where frames wait for the one before with two."""
    options, waits = WAYS[setting]
    pipeline = Pipeline(pose, detector, **options)
    rows = [
        measure(pipeline, setting, sources, asked)
        for sources in (SOURCES if waits else SOURCES[:1])
    ]
    print("\n".join(table(rows).splitlines()[2:]), flush=True)
    return rows


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    heads = [
        *("runtime", "setting", "sources", *(f"{stage} ms" for stage in STAGES), "sequential/s"),
        *("stream/s", "x sequential", "slowest stage/s", "share", "waiting as one/s", "share"),
        "possible",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for row in rows:
        cells = [row.runtime, row.setting, str(row.sources)]
        cells += [f"{row.stage_ms[stage]:.2f}" for stage in STAGES]
        cells += [f"{row.rate_sequential:.1f}", f"{row.rate_stream:.1f}"]
        cells += [f"{row.rate_stream / row.rate_sequential:.2f}"]
        cells += [f"{row.rate_slowest:.1f}", f"{row.share:.2f}"]
        cells += [f"{row.rate_waiting:.1f}", f"{row.share_waiting:.2f}", f"{row.possible:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def one_artifact(folder: Path, model: str, runtime: str) -> Path:
    """Return the fp32 artifact of a model on a runtime."""
    return next(folder.glob(f"{model}-*.{runtime}-fp32"))


def main() -> None:
    """Measure and write streaming.json and streaming.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--runtime", choices=RUNTIMES, action="append")
    parser.add_argument("--setting", choices=WAYS, action="append", dest="settings")
    parser.add_argument("--missing", action="store_true", help="what lacks its rounds")
    parser.add_argument("--frames", type=int, default=72, help="of all sources")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    written = asked.out / "streaming.json"
    kept: list[Row] = []
    if (asked.runtime or asked.settings or asked.missing) and written.is_file():
        kept = msgspec.json.decode(written.read_bytes(), type=Record).rows
    done = {(row.runtime, row.setting) for row in kept} if asked.missing else set()
    done -= {(row.runtime, row.setting) for row in kept if row.rounds < asked.rounds}
    for runtime in asked.runtime or RUNTIMES:
        asked.runtime = runtime
        todo = [each for each in asked.settings or WAYS if (runtime, each) not in done]
        if not todo:
            continue
        paths = [one_artifact(asked.artifacts, model, runtime) for model in ("rtmpose", "rtmdet")]
        with load(paths[0], threads=1) as pose, load(paths[1], threads=1) as detector:
            names = [each.name.rsplit(".", 1)[0] for each in (pose, detector)]
            for setting in todo:
                found = measure_setting(pose, detector, setting, asked)
                others = [row for row in kept if (row.runtime, row.setting) != (runtime, setting)]
                kept = in_order(others + found)
                write(asked, names, kept)


def in_order(rows: list[Row]) -> list[Row]:
    """Return rows by runtime, setting and number of sources."""
    ways = [*WAYS]
    return sorted(
        rows, key=lambda row: (RUNTIMES.index(row.runtime), ways.index(row.setting), row.sources)
    )


def write(asked: argparse.Namespace, names: list[str], rows: list[Row]) -> None:
    """Write streaming.json and streaming.md."""
    clip = Path(asked.source).name
    record = Record(*names, clip, asked.frames, asked.rounds, _cores(), platform.machine(), rows)
    data = msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    (asked.out / "streaming.json").write_bytes(data)
    (asked.out / "streaming.md").write_text(table(rows))


if __name__ == "__main__":
    main()
