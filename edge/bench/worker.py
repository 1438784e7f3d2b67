"""The process that is measured: one artifact in one engine, told what to do on stdin, answering on stdout.

Started as `python -m edge.bench.worker`. One JSON message a line each way: `Open` first, answered by `Ready`; then any
number of `Burst`, each answered by `Timed`; `Failed` instead where one of our errors was raised. It ends with stdin.
"""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import IO

import msgspec
import numpy as np

from edge.parity.reference import load_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Accelerator, Arithmetic, Feeds, RunOptions, Session
from runtimes.errors import EdgeposeError
from runtimes.record import Record
from runtimes.registry import open_session
from runtimes.threads import read_text

# A pool that still spins would take the core of whoever runs next: look this often, and no longer than this, for rest.
REST_STEP_S, REST_LIMIT_S = 0.01, 1.0
REST_SHARE = 0.1  # CPU time a wall second that counts as rest


class Open(Record, frozen=True, kw_only=True, tag="open"):
    """Load the artifact in directory `root`."""

    root: str
    threads: int | None
    precision: Arithmetic
    accelerator: Accelerator


class Burst(Record, frozen=True, kw_only=True, tag="burst"):
    """Run for `seconds`, and at least `least_runs` times, after one run that is not timed."""

    seconds: float
    least_runs: int


class Ready(Record, frozen=True, kw_only=True, tag="ready"):
    """Loaded in `load_ms`; the options really in use."""

    load_ms: float
    threads: int
    precision: Arithmetic
    accelerator: Accelerator


class Timed(Record, frozen=True, kw_only=True, tag="timed"):
    """One burst: wall time of each run, and wall and CPU time (all threads) of the whole, in nanoseconds."""

    wall_ns: tuple[int, ...]
    span_ns: int
    cpu_ns: int
    peak_rss_bytes: int | None


class Failed(Record, frozen=True, kw_only=True, tag="failed"):
    """One of our errors: its class and its message."""

    error: str
    message: str


Request = Open | Burst
Answer = Ready | Timed | Failed


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # Engines print to stdout as they please; what we answer goes out by a descriptor of its own.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except EdgeposeError as error:
        _say(answers, Failed(error=type(error).__name__, message=str(error)))


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Open the artifact that the first line names, then run a burst a line."""
    first = requests.readline()
    if not first:
        return
    order = msgspec.json.decode(first, type=Open)
    session, feeds, ready = _open(order)
    _say(answers, ready)
    try:
        for line in requests:
            _say(answers, burst(session, feeds, msgspec.json.decode(line, type=Burst)))
    finally:
        session.close()


def burst(session: Session, feeds: Iterator[Feeds], order: Burst) -> Timed:
    """Run one burst and wait until the session's own threads rest."""
    session.run(next(feeds))  # the caches were somebody else's while this process waited
    walls: list[int] = []
    gc.disable()
    try:
        cpu_begin, begin = time.process_time_ns(), time.perf_counter_ns()
        now, end = begin, begin + int(order.seconds * 1e9)
        while now < end or len(walls) < order.least_runs:
            feed = next(feeds)
            start = time.perf_counter_ns()
            session.run(feed)
            now = time.perf_counter_ns()
            walls.append(now - start)
        cpu_ns = time.process_time_ns() - cpu_begin
    finally:
        gc.enable()
    _rest()
    return Timed(
        wall_ns=tuple(walls), span_ns=now - begin, cpu_ns=cpu_ns, peak_rss_bytes=peak_rss_bytes()
    )


def peak_rss_bytes() -> int | None:
    """Return the most memory this process held; None where the system does not say.

    Linux: VmHWM. `ru_maxrss` would begin with what the parent held when it started this process.
    """
    for line in read_text(Path("/proc/self/status")).splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM" and value.split()[:1] and value.split()[0].isdigit():
            return int(value.split()[0]) * 1024
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _open(order: Open) -> tuple[Session, Iterator[Feeds], Ready]:
    artifact = Artifact.open(order.root)
    images = load_reference(artifact.root / REFERENCE).images
    options = RunOptions(
        threads=order.threads, precision=order.precision, accelerator=order.accelerator
    )
    start = time.perf_counter_ns()
    session = open_session(artifact, options)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    name = artifact.manifest.inputs[0].name
    singles = [{name: np.ascontiguousarray(images[i : i + 1])} for i in range(len(images))]
    in_use = session.effective
    return (
        session,
        cycle(singles),
        Ready(
            load_ms=load_ms,
            threads=in_use.threads,
            precision=in_use.precision,
            accelerator=in_use.accelerator,
        ),
    )


def _rest() -> None:
    begin = time.perf_counter()
    while time.perf_counter() - begin < REST_LIMIT_S:
        cpu, wall = time.process_time(), time.perf_counter()
        time.sleep(REST_STEP_S)
        if time.process_time() - cpu < REST_SHARE * (time.perf_counter() - wall):
            return


def _say(answers: IO[bytes], message: Answer) -> None:
    answers.write(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    main()
