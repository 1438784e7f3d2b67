"""Find the fastest options that are still right on this machine.

Threads x arithmetic x accelerator are measured, and what computes other than the gate did is checked. Nothing is
assumed: more threads, f16 or bf16, an int8 file and a gpu have each been the slower choice somewhere.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from edge.bench.measure import Case, open_workers
from edge.bench.process import Worker
from edge.bench.record import BenchRow
from edge.bench.tuned import Tuned, artifact_sha256, device_key
from edge.parity.verify import verify
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import EngineError, GateError, InputError
from runtimes.parity_spec import Parity
from runtimes.spec import Precision

# Two p50 nearer than this share are one: rounds of a quiet machine spread by 2 to 5 % with one thread.
TIE = 0.03

ARITHMETIC: tuple[Arithmetic, ...] = get_args(Arithmetic)
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
# On a tie the plainer one is taken: what is least likely to be wrong, or to take cores from others.
_PLAIN_ARITHMETIC: dict[Arithmetic, int] = {"f32": 0, "f16": 1, "bf16": 2}
_PLAIN_FILE: dict[Precision, int] = {"fp32": 0, "fp16": 1, "int8": 2}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was better placed and may not be chosen, why, and the comparison that said so."""

    index: int
    reason: str
    parity: Parity | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen row, by its index, what was refused before it, and its comparison with the reference, if any."""

    index: int
    refused: tuple[Refusal, ...]
    parity: Parity | None


def ranked(rows: Sequence[BenchRow], tie: float = TIE) -> list[int]:
    """Return the rows' indices, best first.

    The best is the plainest of the rows that are within `tie` of the fastest p50: fewest threads, then f32, then the
    cpu, then the file of higher precision, then the lower p50. The next best is found the same way among the rest.
    Rows that had not their cores (`valid` False) come last, in the same order among themselves: their times are
    the queue's.
    """
    order: list[int] = []
    for group in (
        [index for index, row in enumerate(rows) if row.valid is not False],
        [index for index, row in enumerate(rows) if row.valid is False],
    ):
        left = list(group)
        while left:
            limit = min(rows[index].p50_ms for index in left) * (1 + tie)
            near = [index for index in left if rows[index].p50_ms <= limit]
            best = min(near, key=lambda index: (*_plainness(rows[index]), rows[index].p50_ms))
            order.append(best)
            left.remove(best)
    return order


def needs_check(row: BenchRow) -> bool:
    """Say whether a row computes other than the gate did: below f32, on an accelerator, or in int8.

    int8 in f32 arithmetic too: its kernels differ from one CPU to the next (VNNI, dot product, neither).
    """
    return row.arithmetic != "f32" or row.accelerator != "cpu" or row.precision == "int8"


def refusal(row: BenchRow, parity: Parity | None) -> str:
    """Return why a row may not be chosen, "" where it may. parity: how it compares here, None where not compared."""
    if row.passed is False:
        return "its export did not pass the gate"
    if not needs_check(row):
        return ""
    if parity is None:
        return "it was not compared with its reference"
    if parity.passed is False:
        return f"{row.arithmetic} drifts from the reference on this machine"
    if parity.passed is None and (row.arithmetic != "f32" or row.accelerator != "cpu"):
        return f"{row.arithmetic} cannot be judged: the artifact has no PyTorch reference"
    return ""


def choose(rows: Sequence[BenchRow], check: Callable[[int], Parity], tie: float = TIE) -> Choice:
    """Return the best row that is right.

    `check` compares the row of an index with its reference; it is asked only for rows that `needs_check` names, best
    first, until one may be chosen. Raises GateError where none may.
    """
    refused: list[Refusal] = []
    for index in ranked(rows, tie):
        row = rows[index]
        parity = check(index) if needs_check(row) and row.passed is not False else None
        reason = refusal(row, parity)
        if not reason:
            return Choice(index, tuple(refused), parity)
        refused.append(Refusal(index, reason, parity))
    reasons = "; ".join(dict.fromkeys(each.reason for each in refused))
    raise GateError(
        f"nothing here may be used ({reasons}); export again, or look at `edgepose verify`"
    )


def thread_counts(allowed: int) -> list[int]:
    """Return the candidates: powers of two up to the cores this process may use, and all of these."""
    powers = [1 << bit for bit in range(allowed.bit_length())]
    return sorted({*powers, allowed})


def one_model(artifacts: Sequence[Artifact]) -> None:
    """Raise InputError where the artifacts are not of one model and input: the fastest of two models says nothing."""
    kinds = {(each.manifest.model, each.manifest.image.wh) for each in artifacts}
    if len(kinds) > 1:
        names = ", ".join(sorted(f"{model} {wh[0]}x{wh[1]}" for model, wh in kinds))
        raise InputError(f"artifacts of different models ({names}); tune one model at a time")


def candidates(artifacts: Sequence[Artifact], threads: Sequence[int]) -> list[Case]:
    """Return what to measure: every arithmetic and accelerator that the engine really takes, found by asking it.

    Each is loaded once, by itself, and what it then says of itself counts: f16 asked of a CPU without it is f32, and
    would be measured twice. Threads are tried on the cpu only.
    """
    cases: list[Case] = []
    for artifact in artifacts:
        for options in _taken(artifact):
            counts = threads if options.accelerator == "cpu" else threads[:1]
            for count in counts:
                tried = RunOptions(
                    threads=count, precision=options.precision, accelerator=options.accelerator
                )
                cases.append(Case(artifact, tried))
    return cases


def distinct(workers: Sequence[Worker]) -> list[Worker]:
    """Return the workers that differ in what they really use; of each kind the first."""
    kept: dict[object, Worker] = {}
    for worker in workers:
        ready = worker.ready
        used = (ready.threads, ready.precision, ready.accelerator)
        kept.setdefault((worker.artifact.root, *used), worker)
    return list(kept.values())


def check_row(artifact: Artifact, row: BenchRow) -> Parity:
    """Replay the artifact's reference with the row's options."""
    return verify(artifact, _options(row))


def as_tuned(artifact: Artifact, choice: Choice, rows: Sequence[BenchRow], date: str) -> Tuned:
    """Return what is kept of a choice; `rows` are those it was made from."""
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
        p50_ms=row.p50_ms,
        plain_p50_ms=first.p50_ms if first else None,
        valid=row.valid,
        date=date,
        parity=choice.parity,
    )


def _taken(artifact: Artifact) -> Iterator[RunOptions]:
    """Yield what `artifact`'s engine takes here, with one thread; f32 on the cpu is first, and has to be there."""
    for accelerator in ACCELERATORS:
        for precision in ARITHMETIC:
            options = RunOptions(threads=1, precision=precision, accelerator=accelerator)
            try:
                with open_workers([Case(artifact, options)]) as (worker,):
                    ready = worker.ready
            except (InputError, EngineError):
                if (accelerator, precision) == ("cpu", "f32"):
                    raise
                continue  # an accelerator that is not there, an arithmetic that its driver refuses
            if (ready.precision, ready.accelerator) == (precision, accelerator):
                yield options


def _options(row: BenchRow) -> RunOptions:
    return RunOptions(threads=row.threads, precision=row.arithmetic, accelerator=row.accelerator)


def _plainness(row: BenchRow) -> tuple[int, int, int, int]:
    return (
        row.threads,
        _PLAIN_ARITHMETIC[row.arithmetic],
        ACCELERATORS.index(row.accelerator),
        _PLAIN_FILE[row.precision],
    )
