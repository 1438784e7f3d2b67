"""Measurement of a machine's limits: each figure in a process of its own, the best of several rounds."""

import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from devices.detect import detect_machine
from devices.machine import Machine
from edge.bench.limits.nets import MACS, NETS, write_net
from edge.bench.limits.record import Bandwidth, Kind, Limits, Rate, machine_key
from edge.bench.limits.worker import Found, Job
from edge.bench.process import Worker
from edge.bench.record import MIN_CPU_WALL
from edge.types import counted
from runtimes.base import Arithmetic, RunOptions
from runtimes.errors import EngineError, InputError, MissingDependencyError
from runtimes.spec import Precision, Runtime
from runtimes.threads import read_text

ROUNDS, SECONDS = 3, 0.4
PRODUCT_SIDE = 1024
SMALLEST_SET, LARGEST_SET = 1 << 20, 256 << 20
# STREAM's rule: what is to come from memory is at least four times the last cache
CACHES = 4
MEMORY_SHARE = 8
WARMUP_S = 0.5
COMMAND = (sys.executable, "-m", "edge.bench.limits.worker")
# of the libraries that numpy may be built with
BLAS_THREADS = (
    *("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    "VECLIB_MAXIMUM_THREADS",
)
VARIANTS: tuple[tuple[Precision, Arithmetic], ...] = (
    *(("fp32", "f32"), ("fp32", "bf16"), ("fp32", "f16")),
    ("int8", "f32"),
)

Advance = Callable[[str], object]


@dataclass(slots=True)
class Measured:
    """What was measured; in words starved: figures whose processes did not get their cores, refused: by engines."""

    rates: list[Rate] = field(default_factory=list)
    bandwidths: list[Bandwidth] = field(default_factory=list)
    starved: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add_rate(self, rounds: Sequence[Rate]) -> None:
        """Keep the best undisturbed round of one figure."""
        valid = [each for each in rounds if each.cpu_wall >= MIN_CPU_WALL]
        if valid:
            self.rates.append(max(valid, key=lambda each: each.macs_per_s))
        else:
            first, best = rounds[0], max(each.cpu_wall for each in rounds)
            engine = first.by.split(",")[0]
            threads = counted(first.threads, "thread")
            self.starved.append(f"{first.kind} with {threads} of {engine} ({best:.2f})")

    def add_bandwidth(self, rounds: Sequence[Bandwidth]) -> None:
        """Keep the best undisturbed round of one set of memory."""
        valid = [each for each in rounds if each.cpu_wall >= MIN_CPU_WALL]
        if valid:
            self.bandwidths.append(max(valid, key=lambda each: each.bytes_per_s))
        else:
            first, best = rounds[0], max(each.cpu_wall for each in rounds)
            threads = counted(first.threads, "thread")
            self.starved.append(f"{first.set_bytes >> 20} MiB with {threads} ({best:.2f})")

    def limits(self, machine: Machine, before: Limits | None) -> Limits:
        """Return the limits to keep: figures that are missing here are those of an earlier measurement."""
        rates = {_what(each): each for each in (*(before.rates if before else ()), *self.rates)}
        reads = {
            (each.set_bytes, each.threads): each
            for each in (*(before.bandwidths if before else ()), *self.bandwidths)
        }
        return Limits(
            machine=machine_key(machine),
            date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            rates=tuple(rates.values()),
            bandwidths=tuple(reads.values()),
        )


def _what(rate: Rate) -> tuple[str, int, str]:
    # by the engine without its version, so that an upgrade replaces its figures
    return rate.kind, rate.threads, rate.by.split()[0]


def measure_limits(runtimes: Sequence[Runtime], advance: Advance) -> Measured:
    """Measure this machine with one thread and with all allowed cores, by numpy and by the engines of `runtimes`.

    Those that have no network in NETS are left out. `advance` is called before each of `steps(runtimes)`. Raises
    EngineError where the process of numpy dies.
    """
    machine = detect_machine()
    found = Measured()
    for threads in thread_counts(machine):
        advance(f"numpy, {counted(threads, 'thread')}")
        _measure_numpy(found, machine, threads)
    for runtime in _with_nets(runtimes):
        for precision in dict.fromkeys(precision for precision, _ in VARIANTS):
            with tempfile.TemporaryDirectory() as folder:
                _measure_net(found, runtime, precision, Path(folder), machine, advance)
    return found


def steps(runtimes: Sequence[Runtime]) -> int:
    """Return how many times `measure_limits` calls `advance`."""
    variants = len(_with_nets(runtimes)) * len(VARIANTS)
    return len(thread_counts(detect_machine())) * (1 + variants)


def thread_counts(machine: Machine) -> tuple[int, ...]:
    """Return the thread counts that are measured: one, and all allowed cores."""
    return tuple(dict.fromkeys((1, machine.allowed_cores)))


def set_sizes(last_cache: int | None, memory: int | None) -> tuple[int, ...]:
    """Return the sets of memory to read, each four times the one before: from the caches to beyond the last one."""
    most = memory // MEMORY_SHARE if memory else LARGEST_SET
    wanted = max(LARGEST_SET, CACHES * (last_cache or 0))
    sizes = [SMALLEST_SET]
    while sizes[-1] < wanted and sizes[-1] * 4 <= most:
        sizes.append(sizes[-1] * 4)
    return tuple(sizes)


def last_cache_bytes(root: Path = Path("/")) -> int | None:
    """Return the size of the first core's last cache; None where the system does not say. Raises nothing."""
    sizes = [
        int(text[:-1]) << {"K": 10, "M": 20}[text[-1]]
        for path in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size")
        if (text := read_text(path).strip())[-1:] in ("K", "M") and text[:-1].isdigit()
    ]
    return max(sizes, default=None)


def _with_nets(runtimes: Sequence[Runtime]) -> list[Runtime]:
    return [runtime for runtime in NETS if runtime in runtimes]


def _measure_numpy(found: Measured, machine: Machine, threads: int) -> None:
    sizes = set_sizes(last_cache_bytes(), machine.memory_bytes)
    job = Job(side=PRODUCT_SIDE, set_bytes=sizes, threads=threads, seconds=SECONDS)
    rounds = [ask(job) for _ in range(ROUNDS)]
    by = f"numpy {np.__version__}, matrices of {PRODUCT_SIDE} x {PRODUCT_SIDE}"
    products = [each.product for each in rounds]
    found.add_rate([_rate("f32", threads, each.per_s, by, each.cpu_wall) for each in products])
    for at, size in enumerate(sizes):
        found.add_bandwidth(
            [
                Bandwidth(
                    set_bytes=size,
                    threads=threads,
                    bytes_per_s=each.reads[at].per_s,
                    cpu_wall=each.reads[at].cpu_wall,
                )
                for each in rounds
            ]
        )


def ask(job: Job) -> Found:
    """Do a job in a process of its own; raises EngineError where that dies."""
    done = subprocess.run(  # noqa: S603 our own module, no shell
        [*COMMAND, msgspec.json.encode(job).decode()],
        capture_output=True,
        check=False,
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, **dict.fromkeys(BLAS_THREADS, str(job.threads))},
    )
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise EngineError(
            f"the process that measures ended with exit code {done.returncode} ({words})"
        )
    return msgspec.json.decode(done.stdout, type=Found)


def _measure_net(
    found: Measured,
    runtime: Runtime,
    precision: Precision,
    folder: Path,
    machine: Machine,
    advance: Advance,
) -> None:
    """Measure the network of one file precision, in each arithmetic that the engine reports."""
    try:
        artifact = write_net(runtime, precision, folder)
    except MissingDependencyError as error:
        found.refused.append(f"{runtime} {precision}: {error}")
        return
    seen: set[tuple[Kind, int]] = set()
    for arithmetic in [each for kind, each in VARIANTS if kind == precision]:
        for threads in thread_counts(machine):
            advance(f"{runtime} {precision} {arithmetic}, {counted(threads, 'thread')}")
            try:
                with Worker(artifact, RunOptions(threads=threads, precision=arithmetic)) as worker:
                    kind: Kind = "int8" if precision == "int8" else worker.ready.precision
                    if (kind, worker.ready.threads) not in seen:
                        seen.add((kind, worker.ready.threads))
                        found.add_rate(list(_rounds(worker, kind)))
            except (EngineError, InputError, MissingDependencyError) as error:
                found.refused.append(f"{runtime} {precision} {arithmetic}: {error}")


def _rounds(worker: Worker, kind: Kind) -> Iterator[Rate]:
    threads = worker.ready.threads
    by = f"{worker.ready.engine}, 1x1 convolutions"
    worker.burst(WARMUP_S, 2)
    for _ in range(ROUNDS):
        burst = worker.burst(SECONDS, 2)
        fastest = min(burst.engine_ns or burst.wall_ns)
        cpu_wall = burst.cpu_ns / burst.span_ns / threads
        yield _rate(kind, threads, MACS / fastest * 1e9, by, cpu_wall)


def _rate(kind: Kind, threads: int, macs_per_s: float, by: str, cpu_wall: float) -> Rate:
    return Rate(kind=kind, threads=threads, macs_per_s=macs_per_s, by=by, cpu_wall=cpu_wall)
