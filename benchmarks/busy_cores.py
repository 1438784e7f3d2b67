"""Figures of `edgepose bench` where other processes use cores: `cpu/wall`, `others`, `valid`, and the time of a run.

    python benchmarks/busy_cores.py ARTIFACT [--rounds 5] [--time 2] [--out FILE.json]

Needs Linux and two cores. One thread, in each of STATES in turn, round after round: nothing beside it, another
process on another core, one there for a third of the time, and one on its own core, to which it is bound then. The
other process multiplies float32 matrices with numpy in one thread. `ratio`: p50 over that with nothing beside it, the
median over rounds. Run it on an idle machine, or the first row says what else there is.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devices.cpu_use import affinity
from devices.detect import detect_machine
from edge.bench.limits.job import BLAS_THREADS
from edge.bench.measure import WARMUP_S
from edge.bench.process import Worker
from edge.bench.record import why_not_valid
from edge.bench.rows import make_row
from edge.bench.worker import Timed
from edge.cli.console import emit_table
from runtimes.artifact import Artifact
from runtimes.base import RunOptions

# arguments: the CPU to be on, and the share of the time to be busy
BUSY = """
import os, sys, time
import numpy as np
os.sched_setaffinity(0, {int(sys.argv[1])})
a = np.ones((256, 256), np.float32)
print("ready", flush=True)
while True:
    start = time.perf_counter()
    while time.perf_counter() - start < 0.02:
        a @ a
    time.sleep(0.02 * (1 / float(sys.argv[2]) - 1))
"""
SETTLE_S = 0.3


@dataclass(frozen=True, slots=True)
class State:
    """What is beside a row: a process on the row's own core or on another, busy for `share` of the time; 0: none."""

    name: str
    share: float = 0.0
    same_core: bool = False


STATES = (
    State("nothing of ours"),
    State("the other core busy", 1.0),
    State("the other core busy a third of the time", 1 / 3),
    State("its own core busy", 1.0, same_core=True),
)


@contextmanager
def beside(state: State, worker: Worker) -> Iterator[None]:
    """Keep the machine in a state."""
    first, *_, last = affinity()
    bind(worker, {first} if state.same_core else set(affinity()))
    if not state.share:
        yield
        return
    cpu = first if state.same_core else last
    command = [sys.executable, "-c", BUSY, str(cpu), str(state.share)]
    environment = {**os.environ, **dict.fromkeys(BLAS_THREADS, "1")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            process.stdout.readline()
            time.sleep(SETTLE_S)
            yield
        finally:
            process.kill()


def bind(worker: Worker, cpus: set[int]) -> None:
    """Bind all threads of a worker to `cpus`."""
    for task in Path(f"/proc/{worker._process.pid}/task").iterdir():  # noqa: SLF001 its process, and nothing else
        os.sched_setaffinity(int(task.name), cpus)


def measure(artifact: Artifact, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Return a row for each state."""
    bursts: dict[State, list[Timed]] = {state: [] for state in STATES}
    with Worker(artifact, RunOptions(threads=1)) as worker:
        warm = worker.burst(WARMUP_S, 10)
        for _ in range(rounds):
            for state in STATES:
                with beside(state, worker):
                    bursts[state].append(worker.burst(seconds, 1))
        rows = [make_row(worker, warm, each) for each in bursts.values()]
    return [
        {
            "beside": state.name,
            "p50_ms": row.p50_ms,
            "ratio": median_ratio(row.round_p50_ms, rows[0].round_p50_ms),
            "cpu_wall": row.cpu_wall,
            "others": row.others,
            "valid": row.valid,
            "why": why_not_valid(row),
        }
        for state, row in zip(STATES, rows, strict=True)
    ]


def median_ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the ratios of paired rounds."""
    return statistics.median(own / other for own, other in zip(times, base, strict=True))


def main() -> None:
    """Measure one artifact."""
    parser = argparse.ArgumentParser()
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--time", type=float, default=2.0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    artifact = Artifact.open(options.artifact)
    rows = measure(artifact, options.rounds, options.time)
    emit_table(
        list(rows[0]),
        [[f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows],
    )
    if options.out:
        found = {"machine": detect_machine(), "artifact": artifact.name, "rows": rows}
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
