"""Interleaved benchmark: each artifact in its own process, all loaded, running one at a time in rounds.

Noise of a shared machine (other jobs, clock changes) then affects all rows alike; measured one after the other it would
look like a difference between them. The order rotates by one each round, so that no row always follows the same one.
"""

import datetime as dt
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from edge.bench.process import Worker
from edge.bench.record import (
    BenchRow,
    BenchRun,
    figures,
    gate_passed,
    is_valid,
    with_speedup,
)
from edge.bench.worker import Timed
from runtimes.artifact import MANIFEST, REFERENCE, Artifact, read_manifest
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import ArtifactError, InputError, MissingDependencyError
from runtimes.parity_spec import ApParity, PxParity
from runtimes.registry import ENGINES, engine_version, installed_engine
from runtimes.spec import Runtime
from runtimes.version import __version__

# Minimum duration of the warm-up: clocks and the scheduler settle with time, not with runs.
WARMUP_S = 0.5

Advance = Callable[[str], object]


def _quiet(_text: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Duration: `time_s` timed seconds a row, split over `rounds`, after at least `warmup_runs` and WARMUP_S."""

    rounds: int = 10
    time_s: float = 5.0
    warmup_runs: int = 10

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.warmup_runs < 1 or not self.time_s > 0:
            raise InputError(
                f"a benchmark needs rounds, warm-up runs and time above 0, not {self.rounds}, "
                f"{self.warmup_runs}, {self.time_s}"
            )


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure: an artifact and its options."""

    artifact: Artifact
    options: RunOptions


def open_artifacts(paths: Sequence[str | Path]) -> list[Artifact]:
    """Open all artifacts before anything runs.

    Raises MissingDependencyError first, then ArtifactError; InputError for no artifact, or one that is named twice.
    """
    roots = [Path(path) for path in paths]
    if not roots:
        raise InputError("name at least one artifact; make one with `edgepose export`")
    seen: set[Path] = set()
    for root in roots:
        if root.resolve() in seen:
            raise InputError(f"{root} is named twice; name each artifact once")
        seen.add(root.resolve())
    for runtime in dict.fromkeys(_manifest_runtime(root) for root in roots):
        if installed_engine(runtime) is None:
            raise MissingDependencyError(ENGINES[runtime].packages[0], runtime)
    artifacts = [Artifact.open(root) for root in roots]
    for artifact in artifacts:
        if not (artifact.root / REFERENCE).is_file():
            raise ArtifactError(
                f"{artifact.root}: it has no {REFERENCE} to run on; export or import it again"
            )
    return artifacts


def make_cases(
    artifacts: Sequence[Artifact],
    threads: Sequence[int | None],
    precisions: Sequence[Arithmetic],
    accelerator: Accelerator = "cpu",
) -> list[Case]:
    """Return every artifact with every thread count (None: min(4, allowed cores)) and every arithmetic."""
    return [
        Case(artifact, RunOptions(threads=count, precision=precision, accelerator=accelerator))
        for artifact in artifacts
        for count in dict.fromkeys(threads)
        for precision in dict.fromkeys(precisions)
    ]


def schedule(count: int, rounds: int) -> list[list[int]]:
    """Return the order of `count` rows in each round, rotated by one from round to round."""
    return [[(first + step) % count for step in range(count)] for first in range(rounds)]


@contextmanager
def open_workers(cases: Sequence[Case]) -> Iterator[list[Worker]]:
    """Load every case in its own process, one after the other; all are in memory at once and end with the block.

    Raises as `Worker`, which names the artifact.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(case.artifact, case.options)) for case in cases]


def bench(cases: Sequence[Case], plan: Plan, advance: Advance = _quiet) -> BenchRun:
    """Load all cases and measure them; `advance` is called after each of `steps(cases, plan)`."""
    with open_workers(cases) as workers:
        return measure(workers, plan, advance)


def steps(count: int, plan: Plan) -> int:
    """Return how many times `measure` calls `advance` for `count` rows."""
    return count * (plan.rounds + 1)


def measure(workers: Sequence[Worker], plan: Plan, advance: Advance = _quiet) -> BenchRun:
    """Warm up all workers, then run them in turn; raises EngineError where one fails or dies."""
    load_before = load_average()
    warm = []
    for worker in workers:
        warm.append(worker.burst(WARMUP_S, plan.warmup_runs))
        advance(f"warm-up {worker.artifact.name}")
    bursts: list[list[Timed]] = [[] for _ in workers]
    for turn, order in enumerate(schedule(len(workers), plan.rounds), 1):
        for index in order:
            bursts[index].append(workers[index].burst(plan.time_s / plan.rounds, 1))
            advance(f"round {turn} {workers[index].artifact.name}")
    rows = [_row(*each) for each in zip(workers, warm, bursts, strict=True)]
    return BenchRun(
        machine=detect_machine(),
        date=dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        versions=_versions([worker.artifact for worker in workers]),
        load_before=load_before,
        load_after=load_average(),
        rounds=plan.rounds,
        time_s=plan.time_s,
        warmup_runs=plan.warmup_runs,
        rows=with_speedup(rows),
    )


def _row(worker: Worker, warm: Timed, bursts: Sequence[Timed]) -> BenchRow:
    manifest, ready = worker.artifact.manifest, worker.ready
    walls = [wall for burst in bursts for wall in burst.wall_ns]
    found = figures(walls)
    cpu_wall = sum(burst.cpu_ns for burst in bursts) / sum(burst.span_ns for burst in bursts)
    cpu_wall /= ready.threads
    px = (record.px_p95 for record in manifest.parity if isinstance(record, PxParity))
    ap = next((record for record in manifest.parity if isinstance(record, ApParity)), None)
    return BenchRow(
        artifact=worker.artifact.name,
        model=manifest.model,
        runtime=manifest.runtime,
        precision=manifest.precision,
        input_wh=manifest.image.wh,
        threads=ready.threads,
        arithmetic=ready.precision,
        accelerator=ready.accelerator,
        engine=ready.engine,
        asked_threads=worker.options.threads,
        asked_arithmetic=worker.options.precision,
        **msgspec.structs.asdict(found),
        runs=len(walls),
        round_p50_ms=tuple(figures(burst.wall_ns).p50_ms for burst in bursts),
        warmup_runs=len(warm.wall_ns) + 1,
        warmup_ms=warm.span_ns / 1e6,
        load_ms=ready.load_ms,
        peak_rss_bytes=bursts[-1].peak_rss_bytes,
        bytes=sum(record.bytes for record in manifest.files if record.path != REFERENCE),
        cpu_wall=cpu_wall,
        valid=is_valid(cpu_wall, ready.accelerator),
        px_p95=next(px, None),
        ap=ap.ap if ap else None,
        ap_on=ap.inputs if ap else "",
        passed=gate_passed(manifest),
    )


def _manifest_runtime(root: Path) -> Runtime:
    if not root.is_dir():
        raise ArtifactError(f"{root}: no artifact there; make one with `edgepose export`")
    return read_manifest(root / MANIFEST).runtime


def _versions(artifacts: Sequence[Artifact]) -> dict[str, str]:
    versions = {"python": platform.python_version(), "edgepose": __version__}
    for runtime in dict.fromkeys(artifact.manifest.runtime for artifact in artifacts):
        versions[runtime] = engine_version(runtime) or "unknown"
    return versions


def load_average() -> float | None:
    """Return the processes that wanted a core, as the mean over a minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # not every system has one
        return None
