"""Benchmark process: one artifact in one engine, with requests on stdin and answers on stdout.

Started as `python -m edge.bench.worker`. One JSON message a line each way: `Open`, answered by `Ready`; then any number
of `Burst`, each answered by `Timed`; `Failed` instead of either for one of our errors. It ends with stdin.
"""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Collection, Iterator
from itertools import cycle, pairwise
from pathlib import Path
from typing import IO

import msgspec

from devices.cpu_use import affinity, others_between, read_cpu_use, ticks_per_second
from edge.parity.reference import load_reference
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import Accelerator, Arithmetic, Feeds, RunOptions, Session, TimesEngine
from runtimes.errors import EdgeposeError
from runtimes.record import Record
from runtimes.registry import open_session
from runtimes.threads import read_text, resolve_threads

# A thread pool that still spins would take a core from the next worker: poll interval and time limit of the wait.
IDLE_POLL_S, IDLE_LIMIT_S = 0.01, 1.0
IDLE_SHARE = 0.1  # CPU time a wall second below which the pool is idle


class Open(Record, frozen=True, kw_only=True, tag="open"):
    """Load the artifact in directory `root`; images: in each run; extra: as `RunOptions` has it."""

    root: str
    threads: int | None
    precision: Arithmetic
    accelerator: Accelerator
    requests: int | None = None
    images: int = 1
    extra: dict[str, int | float | str] = msgspec.field(default_factory=dict)


class Burst(Record, frozen=True, kw_only=True, tag="burst"):
    """Run for `seconds` and at least `least_runs` times, but `most_s` at most, after one run that is not timed."""

    seconds: float
    least_runs: int
    most_s: float | None = None


class Ready(Record, frozen=True, kw_only=True, tag="ready"):
    """Loaded in `load_ms`, with these options in effect; first_ms: of the first inference.

    placement: nodes by the backend that executes them; None where `Effective` has none. cpus: logical CPUs that the
    process may run on, None of a board.
    """

    load_ms: float
    first_ms: float
    threads: int
    precision: Arithmetic
    accelerator: Accelerator
    engine: str
    placement: dict[str, int] | None = None
    cpus: int | None = None


class Timed(Record, frozen=True, kw_only=True, tag="timed"):
    """One burst: wall time of each run, and wall and CPU time (all threads) of the burst, in nanoseconds.

    engine_ns: the engine's own share of each run, empty where the session does not count it. others: the mean number of
    CPUs that other processes used meanwhile, of those that this one may run on; None where that is not known.
    """

    wall_ns: tuple[int, ...]
    engine_ns: tuple[int, ...]
    span_ns: int
    cpu_ns: int
    peak_rss_bytes: int | None
    others: float | None = None


class Failed(Record, frozen=True, kw_only=True, tag="failed"):
    """One of our errors: its class and its message."""

    error: str
    message: str


Request = Open | Burst
Answer = Ready | Timed | Failed


def main() -> None:
    """Answer requests until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    # engines may print to stdout, so answers have a descriptor of their own
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except EdgeposeError as error:
        _say(answers, Failed(error=type(error).__name__, message=str(error)))


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Open the artifact of the first request, then run a burst a request."""
    first = requests.readline()
    if not first:
        return
    order = msgspec.json.decode(first, type=Open)
    cpus = affinity()  # before an engine binds threads to some
    session, feeds, ready = _open(order, len(cpus))
    _say(answers, ready)
    try:
        for line in requests:
            _say(answers, burst(session, feeds, msgspec.json.decode(line, type=Burst), cpus))
    finally:
        session.close()


def burst(
    session: Session, feeds: Iterator[Feeds], order: Burst, cpus: Collection[int] = ()
) -> Timed:
    """Run one burst and wait until the session's threads are idle; cpus: those to look for other processes on."""
    before = read_cpu_use()
    session.run(next(feeds))  # untimed: the caches are another worker's
    walls: list[int] = []
    marks = [_engine_ns(session)]
    gc.disable()
    try:
        cpu_begin, begin = time.process_time_ns(), time.perf_counter_ns()
        now, end = begin, begin + int(order.seconds * 1e9)
        last = float("inf") if order.most_s is None else begin + int(order.most_s * 1e9)
        while (now < end or len(walls) < order.least_runs) and (now < last or not walls):
            feed = next(feeds)
            start = time.perf_counter_ns()
            session.run(feed)
            now = time.perf_counter_ns()
            walls.append(now - start)
            marks.append(_engine_ns(session))
        cpu_ns = time.process_time_ns() - cpu_begin
    finally:
        gc.enable()
    others = others_between(before, read_cpu_use(), cpus, ticks_per_second())
    _wait_idle()
    return Timed(
        wall_ns=tuple(walls),
        engine_ns=tuple(after - before for before, after in pairwise(marks) if after > before),
        span_ns=now - begin,
        cpu_ns=cpu_ns,
        peak_rss_bytes=peak_rss_bytes(),
        others=others,
    )


def _engine_ns(session: Session) -> int:
    return (session.engine_ns if isinstance(session, TimesEngine) else None) or 0


def peak_rss_bytes() -> int | None:
    """Return this process's peak memory; None where the system does not report it.

    Linux: VmHWM, since `ru_maxrss` includes the parent's at the start of this process.
    """
    for line in read_text(Path("/proc/self/status")).splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM" and value.split()[:1] and value.split()[0].isdigit():
            return int(value.split()[0]) * 1024
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _open(order: Open, cpus: int) -> tuple[Session, Iterator[Feeds], Ready]:
    artifact = Artifact.open(order.root)
    images = load_reference(artifact.root / REFERENCE).images
    # a benchmark measures one count: without one ncnn takes fewer threads where others use the cores
    options = RunOptions(
        threads=resolve_threads(order.threads),
        precision=order.precision,
        accelerator=order.accelerator,
        requests=order.requests,
        extra=order.extra,
    )
    start = time.perf_counter_ns()
    session = open_session(artifact, options)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    name = artifact.manifest.inputs[0].name
    feeds = [
        {name: images.take(range(first, first + order.images), axis=0, mode="wrap")}
        for first in range(0, len(images), order.images)
    ]
    start = time.perf_counter_ns()
    session.run(feeds[0])
    first_ms = (time.perf_counter_ns() - start) / 1e6
    in_use = session.effective
    return (
        session,
        cycle(feeds),
        Ready(
            load_ms=load_ms,
            first_ms=first_ms,
            threads=in_use.threads,
            precision=in_use.precision,
            accelerator=in_use.accelerator,
            engine=in_use.engine,
            placement=dict(in_use.placement.nodes) if in_use.placement else None,
            cpus=cpus,
        ),
    )


def _wait_idle() -> None:
    begin = time.perf_counter()
    while time.perf_counter() - begin < IDLE_LIMIT_S:
        cpu, wall = time.process_time(), time.perf_counter()
        time.sleep(IDLE_POLL_S)
        if time.process_time() - cpu < IDLE_SHARE * (time.perf_counter() - wall):
            return


def _say(answers: IO[bytes], message: Answer) -> None:
    answers.write(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    main()
