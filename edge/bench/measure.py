"""Interleaved benchmark: each artifact in its own process, all loaded, running one at a time in rounds.

Noise of a shared machine (other jobs, clock changes) then affects all rows alike; measured one after the other it would
look like a difference between them. The order rotates by one each round, so that no row always follows the same one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from devices.detect import detect_machine
from edge.bench.conditions import read_conditions
from edge.bench.limits.floor import with_floors
from edge.bench.limits.record import load_limits
from edge.bench.process import Worker
from edge.bench.record import BenchRun, with_speedup
from edge.bench.rows import make_row, make_run
from edge.bench.worker import Timed
from runtimes.artifact import MANIFEST, REFERENCE, Artifact, read_manifest
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import (
    ArtifactError,
    DeviceLostError,
    InputError,
    MissingDependencyError,
)
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Runtime

# Minimum duration of the warm-up: clocks and the scheduler settle with time, not with runs.
WARMUP_S = 0.5
LONGEST_S = 1e7  # of a row

Advance = Callable[[str], object]


def quiet(_text: str) -> None:
    """Report no progress."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Duration: `time_s` timed seconds a row, split over `rounds`, after at least `warmup_runs` and WARMUP_S.

    queries: at least so many runs a row, but `most_s` seconds at most; name: the tier that both are of. exact_runs:
    so many runs a row in place of time, no fewer than rounds. See `edge.bench.tiers`.
    """

    rounds: int = 10
    time_s: float = 5.0
    warmup_runs: int = 10
    name: str = ""
    queries: int | None = None
    most_s: float | None = None
    exact_runs: int | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.warmup_runs < 1 or not 0 < self.time_s <= LONGEST_S:
            raise InputError(
                f"a benchmark needs rounds, warm-up runs and time above 0, of {LONGEST_S:.0e} s at most, "
                f"not {self.rounds}, {self.warmup_runs}, {self.time_s}"
            )

    def turn(self, worker: Worker, number: int) -> Timed:
        """Run the worker's share of round `number`, from 0."""
        runs = self.exact_runs or self.queries or 0
        share = max(1, runs * (number + 1) // self.rounds - runs * number // self.rounds)
        seconds = 0.0 if self.exact_runs else self.time_s / self.rounds
        most_s = None if self.most_s is None else self.most_s / self.rounds
        return worker.burst(seconds, share, most_s)


@dataclass(frozen=True, slots=True)
class Case:
    """One row to measure: an artifact and its options."""

    artifact: Artifact
    options: RunOptions


def open_artifacts(paths: Sequence[str | Path]) -> list[Artifact]:
    """Open all artifacts before anything runs.

    Raises MissingDependencyError first, then ArtifactError; InputError for no artifact, or one that is named twice.
    """
    roots = _distinct(paths)
    for runtime in dict.fromkeys(_manifest_runtime(root) for root in roots):
        if installed_engine(runtime) is None:
            raise MissingDependencyError(ENGINES[runtime].packages[0], runtime)
    return _open_all(roots)


def open_for_board(paths: Sequence[str | Path]) -> list[Artifact]:
    """Open all artifacts, whose engines another machine has; raises as `open_artifacts`, but for engines."""
    roots = _distinct(paths)
    for root in roots:
        _manifest_runtime(root)
    return _open_all(roots)


def _distinct(paths: Sequence[str | Path]) -> list[Path]:
    roots = [Path(path) for path in paths]
    if not roots:
        raise InputError("name at least one artifact; make one with `edgepose export`")
    seen: set[Path] = set()
    for root in roots:
        if root.resolve() in seen:
            raise InputError(f"{root} is named twice; name each artifact once")
        seen.add(root.resolve())
    return roots


def _open_all(roots: Sequence[Path]) -> list[Artifact]:
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
    extra: Mapping[str, int | float | str] | None = None,
) -> list[Case]:
    """Return every artifact with every thread count (None: min(4, allowed cores)) and every arithmetic."""
    return [
        Case(artifact, RunOptions(count, precision, accelerator, extra or {}))
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


def bench(cases: Sequence[Case], plan: Plan, advance: Advance = quiet) -> BenchRun:
    """Load all cases and measure them; `advance` is called after each of `steps(cases, plan)`."""
    limits = load_limits(detect_machine())  # first: a damaged file ends it before any work
    with open_workers(cases) as workers:
        return with_floors(measure(workers, plan, advance), limits)


def steps(count: int, plan: Plan) -> int:
    """Return how many times `measure` calls `advance` for `count` rows."""
    return count * (plan.rounds + 1)


def measure(workers: Sequence[Worker], plan: Plan, advance: Advance = quiet) -> BenchRun:
    """Warm up all workers, then run them in turn; raises EngineError where one fails or dies.

    Where a board disappears, the run has what was measured before, without speedups, and `partial` says why; before the
    first round that is DeviceLostError.
    """
    before = read_conditions()
    warm = []
    for worker in workers:
        warm.append(worker.burst(WARMUP_S, plan.warmup_runs))
        advance(f"warm-up {worker.artifact.name}")
    bursts: list[list[Timed]] = [[] for _ in workers]
    lost = ""
    try:
        for turn, order in enumerate(schedule(len(workers), plan.rounds)):
            for index in order:
                bursts[index].append(plan.turn(workers[index], turn))
                advance(f"round {turn + 1} {workers[index].artifact.name}")
    except DeviceLostError as error:
        if not any(bursts):
            raise
        lost = str(error)
    rows = [make_row(*each) for each in zip(workers, warm, bursts, strict=True) if each[2]]
    run = make_run(
        [worker.artifact for worker in workers],
        rows if lost else with_speedup(rows),
        rounds=plan.rounds,
        time_s=plan.time_s,
        warmup_runs=plan.warmup_runs,
        before=before,
    )
    return msgspec.structs.replace(
        run,
        tier=plan.name,
        queries=plan.queries,
        iterations=plan.exact_runs,
        partial=lost,
    )


def _manifest_runtime(root: Path) -> Runtime:
    if not root.is_dir():
        raise ArtifactError(f"{root}: no artifact there; make one with `edgepose export`")
    return read_manifest(root / MANIFEST).runtime
