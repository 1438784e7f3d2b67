"""Latency of `edgepose bench` beside OpenVINO's `benchmark_app` on the same files and settings, in interleaved pairs.

    python benchmarks/benchmark_app.py ARTIFACT... [--threads 1] [--pairs 5] [--time 3] [--out FILE.json]

Both run in processes of their own, one after the other, the order turned from pair to pair: synchronous, f32
arithmetic, the same threads and pinning, and one stream. The latency hint means one stream, and benchmark_app takes no
threads beside it.

benchmark_app reports what the engine says of its own time, on a ready input tensor that stays the same. `engine` is
that of `bench`: real images, one after the other. `call` is a whole call of `bench`: the image is normalised and laid
out, and the outputs are copied. Prints medians over the pairs of the ratios to benchmark_app; those of minima say
whether the engine is as fast where other processes disturb the medians (`cpu_wall` below 0.9).
"""

import argparse
import re
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from edge.bench.measure import WARMUP_S
from edge.bench.process import Worker
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.registry import engine_version
from runtimes.threads import allowed_cores

FIGURES = re.compile(r"(Median|Min):\s+([\d.]+) ms")
WARMUP_RUNS = 10


@dataclass(frozen=True, slots=True)
class Times:
    """Median and minimum in milliseconds."""

    median: float
    least: float


@dataclass(frozen=True, slots=True)
class Pair:
    """Both programs, one after the other; cpu_wall: of ours, below 0.9 where other processes used the cores."""

    app: Times
    engine: Times
    call: Times
    cpu_wall: float


def app_times(artifact: Artifact, threads: int, seconds: float) -> Times:
    """Return the latency that benchmark_app prints."""
    tensor = artifact.manifest.inputs[0]
    shape = ",".join(map(str, [1, *tensor.shape[1:]]))
    done = subprocess.run(
        [
            *("benchmark_app", "-m", str(artifact.file(".xml")), "-d", "CPU", "-hint", "none"),
            *("-api", "sync", "-infer_precision", "f32"),
            *("-nstreams", "1", "-nthreads", str(threads)),
            *("-pin", "YES" if threads == allowed_cores() else "NO"),
            *("-data_shape", f"[{shape}]", "-t", str(max(1, round(seconds)))),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(FIGURES.findall(done.stdout))
    if set(found) != {"Median", "Min"}:
        raise SystemExit(f"benchmark_app printed no latency: {done.stdout[-500:]}")
    return Times(float(found["Median"]), float(found["Min"]))


def times(wall_ns: Sequence[int]) -> Times:
    """Return median and minimum of times in nanoseconds."""
    return Times(statistics.median(wall_ns) / 1e6, min(wall_ns) / 1e6)


def measure_pair(worker: Worker, threads: int, seconds: float, *, ours_first: bool) -> Pair:
    """Run both, in the order asked for."""
    timed = worker.burst(seconds, 1) if ours_first else None
    app = app_times(worker.artifact, threads, seconds)
    timed = timed or worker.burst(seconds, 1)
    cpu_wall = timed.cpu_ns / timed.span_ns / threads
    return Pair(app, times(timed.engine_ns), times(timed.wall_ns), cpu_wall)


def compare(artifact: Artifact, threads: int, pairs: int, seconds: float) -> dict[str, object]:
    """Measure pairs; returns medians over them, of times in milliseconds and of ratios to benchmark_app."""
    with Worker(artifact, RunOptions(threads=threads)) as worker:
        worker.burst(WARMUP_S, WARMUP_RUNS)
        found = [
            measure_pair(worker, threads, seconds, ours_first=bool(number % 2))
            for number in range(pairs)
        ]
    return {
        "artifact": artifact.name,
        "threads": threads,
        "cpu_wall": statistics.median(each.cpu_wall for each in found),
        "benchmark_app_ms": statistics.median(each.app.median for each in found),
        **ratios("engine", [(each.engine, each.app) for each in found]),
        **ratios("call", [(each.call, each.app) for each in found]),
    }


def ratios(name: str, pairs: Sequence[tuple[Times, Times]]) -> dict[str, object]:
    """Return the median over pairs: of our median, of the ratios of medians (and their range) and of minima."""
    medians = [ours.median / app.median for ours, app in pairs]
    return {
        f"{name}_ms": statistics.median(ours.median for ours, _ in pairs),
        f"{name}_ratio": statistics.median(medians),
        f"{name}_ratio_range": (min(medians), max(medians)),
        f"{name}_ratio_of_minima": statistics.median(ours.least / app.least for ours, app in pairs),
    }


def main() -> None:
    """Measure the artifacts one after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("artifacts", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--time", type=float, default=3.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rows = []
    for path in options.artifacts:
        rows.append(compare(Artifact.open(path), options.threads, options.pairs, options.time))
        print(msgspec.json.encode(rows[-1]).decode(), flush=True)
    if options.out:
        found = {"machine": detect_machine(), "openvino": engine_version("openvino"), "rows": rows}
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
