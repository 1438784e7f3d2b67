"""Search for the fastest options that still match the reference on this machine.

Threads x arithmetic x accelerator are measured, and rows that compute differently from the gate are checked. Nothing is
assumed: more threads, f16 or bf16, an int8 file and a GPU can each be slower.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from devices.tuned import Tuned, TunedPeople, artifact_sha256, device_key
from edge.bench.measure import Case, open_workers
from edge.bench.process import Worker
from edge.bench.record import BenchRow
from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import EngineError, GateError, InputError
from runtimes.parity_spec import Parity
from runtimes.spec import Precision
from runtimes.threads import MAX_THREADS

BUSY = "other processes used its cores, so its times are not its own"
# p50 within this share are a tie: rounds of a quiet machine spread by 2 to 5 % with one thread.
TIE = 0.03

ARITHMETIC: tuple[Arithmetic, ...] = get_args(Arithmetic)
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
# Ties go to the simpler row: less likely to be wrong, or to take cores from other work.
_PLAIN_ARITHMETIC: dict[Arithmetic, int] = {"f32": 0, "f16": 1, "bf16": 2}
_PLAIN_FILE: dict[Precision, int] = {"fp32": 0, "fp16": 1, "int8": 2}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A better ranked row that may not be chosen: its index, the reason, and the comparison with the reference."""

    index: int
    reason: str
    parity: Parity | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The index of the chosen row, the rows refused before it, and its comparison with the reference, if any."""

    index: int
    refused: tuple[Refusal, ...]
    parity: Parity | None


def ranked(rows: Sequence[BenchRow], tie: float = TIE) -> list[int]:
    """Return the rows' indices, best first.

    The best is the simplest row within `tie` of the fastest p50: fewest threads, then f32, then the CPU, then the file
    of higher precision, then the lower p50; the next best is the best of the rest. Rows that are not valid come last,
    in the same order.
    """
    order: list[int] = []
    for group in (
        [index for index, row in enumerate(rows) if row.valid is not False],
        [index for index, row in enumerate(rows) if row.valid is False],
    ):
        left = list(group)
        while left:
            limit = min(rows[index].typical_ms for index in left) * (1 + tie)
            near = [index for index in left if rows[index].typical_ms <= limit]
            best = min(near, key=lambda index: (*_plainness(rows[index]), rows[index].typical_ms))
            order.append(best)
            left.remove(best)
    return order


def needs_check(row: BenchRow) -> bool:
    """Return whether a row computes differently from the gate: below f32, on an accelerator, or in int8.

    int8 does so in f32 arithmetic too: its kernels differ between CPUs (VNNI, dot product, neither).
    """
    return row.arithmetic != "f32" or row.accelerator != "cpu" or row.precision == "int8"


def refusal(row: BenchRow, parity: Parity | None) -> str:
    """Return why a row may not be chosen, "" where it may. parity: its comparison here, None if not compared."""
    if row.passed is False:
        return "it did not pass the gate when exported"
    if not needs_check(row):
        return ""
    if parity is None:
        return "it was not compared with its reference"
    if parity.passed is False:
        return f"{row.arithmetic} drifts from the reference on this machine"
    if parity.passed is None and (row.arithmetic != "f32" or row.accelerator != "cpu"):
        return f"{row.arithmetic} cannot be judged: the artifact has no PyTorch reference"
    return ""


def choose(
    rows: Sequence[BenchRow],
    check: Callable[[int], Parity],
    tie: float = TIE,
    *,
    under_load: bool = False,
) -> Choice:
    """Return the best ranked row that may be used.

    `check` compares the row of an index with its reference; it is called for rows that need it, best first, until one
    may be chosen. under_load: for a machine that other processes always use; rows that are not valid come last then,
    instead of being refused. Raises GateError where none may be used.
    """
    refused: list[Refusal] = []
    for index in ranked(rows, tie):
        row = rows[index]
        if row.valid is False and not under_load:
            refused.append(Refusal(index, BUSY, None))
            continue
        parity = check(index) if needs_check(row) and row.passed is not False else None
        reason = refusal(row, parity)
        if not reason:
            return Choice(index, tuple(refused), parity)
        refused.append(Refusal(index, reason, parity))
    if all(row.valid is False for row in rows) and not under_load:
        raise GateError(
            f"machine busy: other processes used the cores of all {len(rows)} rows; run again on an idle machine, "
            "with fewer --threads, or with --under-load where it is always busy"
        )
    reasons = "; ".join(dict.fromkeys(each.reason for each in refused))
    raise GateError(f"no row may be used ({reasons}); export again, or see `edgepose verify`")


def thread_counts(allowed: int) -> list[int]:
    """Return the thread counts to try: powers of two up to `allowed` cores, and `allowed`; at most MAX_THREADS."""
    most = min(allowed, MAX_THREADS)
    powers = [1 << bit for bit in range(most.bit_length())]
    return sorted({*powers, most})


def require_one_model(artifacts: Sequence[Artifact]) -> None:
    """Raise InputError where the artifacts differ in model or input size."""
    kinds = {(each.manifest.model, each.manifest.image.wh) for each in artifacts}
    if len(kinds) > 1:
        names = ", ".join(sorted(f"{model} {wh[0]}x{wh[1]}" for model, wh in kinds))
        raise InputError(f"artifacts of different models ({names}); tune one model at a time")


def candidates(artifacts: Sequence[Artifact], threads: Sequence[int]) -> list[Case]:
    """Return the cases to measure: every arithmetic and accelerator that the engine supports here.

    Each is loaded once, and the options in effect count: f16 on a CPU without it is f32, which would be measured
    twice. Threads vary on the CPU only.
    """
    cases: list[Case] = []
    for artifact in artifacts:
        for options in _supported(artifact):
            counts = threads if options.accelerator == "cpu" else threads[:1]
            for count in counts:
                tried = RunOptions(
                    threads=count, precision=options.precision, accelerator=options.accelerator
                )
                cases.append(Case(artifact, tried))
    return cases


def distinct(workers: Sequence[Worker]) -> list[Worker]:
    """Return the workers that differ in the options in effect; of equal ones the first."""
    kept: dict[object, Worker] = {}
    for worker in workers:
        ready = worker.ready
        used = (ready.threads, ready.precision, ready.accelerator)
        kept.setdefault((worker.artifact.root, *used), worker)
    return list(kept.values())


def check_row(artifact: Artifact, row: BenchRow) -> Parity:
    """Replay the artifact's reference with the row's options."""
    return verify(artifact, row_options(row))


def as_tuned(
    artifact: Artifact,
    choice: Choice,
    rows: Sequence[BenchRow],
    date: str,
    people: TunedPeople | None = None,
) -> Tuned:
    """Return the record of a choice among `rows`; people: see `edge.bench.people`."""
    row = rows[choice.index]
    plain = (
        each for each in rows if each.artifact == row.artifact and _plainness(each)[:3] == (1, 0, 0)
    )
    first = next(plain, None)
    return Tuned(
        artifact_sha256=artifact_sha256(artifact),
        device=device_key(artifact),
        threads=row.threads,
        precision=row.arithmetic,
        accelerator=row.accelerator,
        p50_ms=row.typical_ms,
        plain_p50_ms=first.typical_ms if first else None,
        valid=row.valid,
        date=date,
        parity=choice.parity,
        people=people,
    )


def _supported(artifact: Artifact) -> Iterator[RunOptions]:
    """Yield the options, with one thread, that the engine supports here; f32 on the CPU is first and must work."""
    for accelerator in ACCELERATORS:
        for precision in ARITHMETIC:
            options = RunOptions(threads=1, precision=precision, accelerator=accelerator)
            try:
                with open_workers([Case(artifact, options)]) as (worker,):
                    ready = worker.ready
            except (InputError, EngineError):
                if (accelerator, precision) == ("cpu", "f32"):
                    raise
                continue  # no such accelerator here, or its driver refuses the arithmetic
            if (ready.precision, ready.accelerator) == (precision, accelerator):
                yield options


def row_options(row: BenchRow) -> RunOptions:
    """Return the options in effect of a row."""
    return RunOptions(threads=row.threads, precision=row.arithmetic, accelerator=row.accelerator)


def _plainness(row: BenchRow) -> tuple[int, int, int, int]:
    return (
        row.threads,
        _PLAIN_ARITHMETIC[row.arithmetic],
        ACCELERATORS.index(row.accelerator),
        _PLAIN_FILE[row.precision],
    )
