"""Measurement of a machine's limits, of this one or a board's: processes of their own, the best of several rounds."""

import datetime as dt
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from devices.detect import detect_machine
from devices.machine import Machine
from edge.bench.limits.job import FOUND, Found, Job
from edge.bench.limits.nets import MACS, NETS, write_net
from edge.bench.limits.record import Bandwidth, Kind, Limits, Rate, machine_key
from edge.bench.process import Worker
from edge.bench.record import MIN_CPU_WALL
from edge.types import counted
from runtimes.artifact import Artifact
from runtimes.base import Arithmetic, RunOptions
from runtimes.errors import DeviceLostError, EngineError, InputError, MissingDependencyError
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
VARIANTS: tuple[tuple[Precision, Arithmetic], ...] = (
    *(("fp32", "f32"), ("fp32", "bf16"), ("fp32", "f16")),
    ("int8", "f32"),
)

Advance = Callable[[str], object]


class Place(Protocol):
    """What limits are measured on: this machine, or a board."""

    @property
    def machine(self) -> Machine:
        """Return what it is."""
        ...

    @property
    def last_cache(self) -> int | None:
        """Return the bytes of its last cache; None for unknown."""
        ...

    def ask(self, job: Job) -> Found:
        """Do a job of numpy's in a process of its own; raises EngineError where that dies."""
        ...

    def put(self, artifact: Artifact) -> None:
        """Make an artifact ready to be opened, in place of the one before."""
        ...

    def open(self, artifact: Artifact, options: RunOptions) -> Worker:
        """Load the artifact that was put there last; raises as `Worker`."""
        ...


class Here:
    """This machine."""

    def __init__(self) -> None:
        self.machine = detect_machine()
        self.last_cache = last_cache_bytes()

    def ask(self, job: Job) -> Found:
        """Do a job of numpy's in a process of its own; raises EngineError where that dies."""
        done = subprocess.run(  # noqa: S603 our own module, no shell
            [*COMMAND, msgspec.json.encode(job).decode()],
            capture_output=True,
            check=False,
            cwd=Path(__file__).resolve().parents[3],
            env={**os.environ, **job.environment},
        )
        if done.returncode:
            words = " ".join(done.stderr.decode(errors="replace").split())[-300:]
            raise EngineError(
                f"the process that measures ended with exit code {done.returncode} ({words})"
            )
        return read_found(done.stdout)

    def put(self, artifact: Artifact) -> None:
        """Leave it where it is."""

    def open(self, artifact: Artifact, options: RunOptions) -> Worker:
        """Load an artifact; raises as `Worker`."""
        return Worker(artifact, options)


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

    def limits(self, machine: Machine, before: Limits | None, host: str = "") -> Limits:
        """Return the limits to keep: figures that are missing here are those of an earlier measurement.

        host: of a board, see `machine_key`.
        """
        rates = {_what(each): each for each in (*(before.rates if before else ()), *self.rates)}
        reads = {
            (each.set_bytes, each.threads): each
            for each in (*(before.bandwidths if before else ()), *self.bandwidths)
        }
        return Limits(
            machine=machine_key(machine, host),
            date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            rates=tuple(rates.values()),
            bandwidths=tuple(reads.values()),
        )


def _what(rate: Rate) -> tuple[str, int, str]:
    # by the engine without its version, so that an upgrade replaces its figures
    return rate.kind, rate.threads, rate.by.split()[0]


def measure_limits(
    runtimes: Sequence[Runtime], advance: Advance, place: Place | None = None
) -> Measured:
    """Measure with one thread and with all allowed cores, by numpy and by the engines of `runtimes`.

    Those that have no network in NETS are left out. place: this machine unless given. `advance` is called before each
    of `steps(runtimes, machine)`. Raises EngineError where the process of numpy dies, DeviceLostError.
    """
    place = place or Here()
    found = Measured()
    for threads in thread_counts(place.machine):
        advance(f"numpy, {counted(threads, 'thread')}")
        _measure_numpy(found, place, threads)
    for runtime in _with_nets(runtimes):
        for precision in dict.fromkeys(precision for precision, _ in VARIANTS):
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder, f"{runtime}-{precision}")
                root.mkdir()
                _measure_net(found, place, runtime, precision, root, advance)
    return found


def steps(runtimes: Sequence[Runtime], machine: Machine) -> int:
    """Return how many times `measure_limits` calls `advance` on a machine."""
    variants = len(_with_nets(runtimes)) * len(VARIANTS)
    return len(thread_counts(machine)) * (1 + variants)


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


def read_found(text: bytes) -> Found:
    """Return the answer at the end of what the program printed; raises EngineError for anything else."""
    try:
        return msgspec.json.decode(text[max(0, text.rfind(FOUND)) :], type=Found)
    except msgspec.DecodeError as error:
        raise EngineError(f"the process that measures gave no figures ({error})") from error


def _measure_numpy(found: Measured, place: Place, threads: int) -> None:
    sizes = set_sizes(place.last_cache, place.machine.memory_bytes)
    job = Job(side=PRODUCT_SIDE, set_bytes=sizes, threads=threads, seconds=SECONDS)
    rounds = [place.ask(job) for _ in range(ROUNDS)]
    by = f"numpy {rounds[0].numpy}, matrices of {PRODUCT_SIDE} x {PRODUCT_SIDE}"
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


def _measure_net(
    found: Measured,
    place: Place,
    runtime: Runtime,
    precision: Precision,
    root: Path,
    advance: Advance,
) -> None:
    """Measure the network of one file precision, in each arithmetic that the engine reports."""
    try:
        artifact = write_net(runtime, precision, root)
    except MissingDependencyError as error:
        found.refused.append(f"{runtime} {precision}: its network cannot be made here: {error}")
        return
    place.put(artifact)
    seen: set[tuple[Kind, int]] = set()
    for arithmetic in [each for kind, each in VARIANTS if kind == precision]:
        for threads in thread_counts(place.machine):
            advance(f"{runtime} {precision} {arithmetic}, {counted(threads, 'thread')}")
            try:
                with place.open(artifact, RunOptions(threads, arithmetic)) as worker:
                    kind: Kind = "int8" if precision == "int8" else worker.ready.precision
                    if (kind, worker.ready.threads) not in seen:
                        seen.add((kind, worker.ready.threads))
                        found.add_rate(list(_rounds(worker, kind)))
            except DeviceLostError:
                raise
            except (EngineError, InputError, MissingDependencyError) as error:
                found.refused.append(f"{runtime} {precision} {arithmetic}: {error}")


def _rounds(worker: Worker, kind: Kind) -> Iterator[Rate]:
    threads = worker.ready.threads
    by = f"{worker.ready.engine}, 1x1 convolutions"
    worker.burst(WARMUP_S, 2)
    for _ in range(ROUNDS):
        burst = worker.burst(SECONDS, 2)
        fastest = max(1, min(burst.engine_ns or burst.wall_ns))
        cpu_wall = burst.cpu_ns / burst.span_ns / threads
        yield _rate(kind, threads, MACS / fastest * 1e9, by, cpu_wall)


def _rate(kind: Kind, threads: int, macs_per_s: float, by: str, cpu_wall: float) -> Rate:
    return Rate(kind=kind, threads=threads, macs_per_s=macs_per_s, by=by, cpu_wall=cpu_wall)
