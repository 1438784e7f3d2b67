"""Regression check: the rows of two benchmark runs by one figure and one limit, such as `p90:+10%`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.bench.pipeline_row import PipelineRow
from edge.bench.record import BenchRow, BenchRun, all_rows
from runtimes.errors import InputError

# fields of BenchRow and PipelineRow by their names in --fail-on
FIGURES: dict[str, str] = {
    "p50": "p50_ms",
    "p10": "p10_ms",
    "p90": "p90_ms",
    "estimate": "p90_estimate_ms",
    "p99": "p99_ms",
    "mean": "mean_ms",
    "min": "min_ms",
    "load": "load_ms",
    "first": "first_ms",
    "rss": "peak_rss_bytes",
    "bytes": "bytes",
}
LIMIT = re.compile(r"^([a-z0-9]+):\+(\d+(?:\.\d+)?)%$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limit:
    """A regression is more than `share` (.1 is 10 %) above the first run's `figure`."""

    figure: str
    share: float


@dataclass(frozen=True, slots=True)
class RowChange:
    """One row of both runs: the figure before and after, the relative change, and whether it exceeds the limit."""

    name: str
    before: float
    after: float
    change: float
    worse: bool
    valid: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows of the first run that could be judged; `missing`: the others, each with the reason."""

    changes: tuple[RowChange, ...]
    missing: tuple[str, ...]


def parse_limit(text: str) -> Limit:
    """Parse `p90:+10%`; raises InputError with the known figures."""
    found = LIMIT.match(text)
    if not found or found[1] not in FIGURES:
        raise InputError(
            f"--fail-on wants FIGURE:+N%, such as p90:+10%, not {text!r}; figures: {', '.join(FIGURES)}"
        )
    return Limit(found[1], float(found[2]) / 100)


def compare_runs(first: BenchRun, other: BenchRun, limit: Limit) -> Comparison:
    """Return the change of every row of the first run: same names and options in effect.

    `valid` is False where either row is not valid: the machine's load may have caused the change. Raises InputError
    where the runs have no row in common, or none of those has the figure.
    """
    after = {row.key: row for row in all_rows(other)}
    rows = all_rows(first)
    if not any(row.key in after for row in rows):
        raise InputError(
            "the two runs have no row in common (artifact, arithmetic, threads); measure the same artifacts again"
        )
    found = [_change(row, after.get(row.key), limit) for row in rows]
    changes = tuple(each for each in found if isinstance(each, RowChange))
    if not changes:
        raise InputError(f"no row of both runs has {limit.figure}; choose another figure")
    return Comparison(changes, tuple(each for each in found if isinstance(each, str)))


def same_machine(runs: Sequence[BenchRun]) -> bool:
    """Return whether all runs are of one kind of machine, so that their times compare."""
    return (
        len({(run.machine.arch, run.machine.cpu_model, run.machine.allowed_cores) for run in runs})
        < 2
    )


def _change(
    old: BenchRow | PipelineRow, new: BenchRow | PipelineRow | None, limit: Limit
) -> RowChange | str:
    """Return the change of a row, or its name and why there is none."""
    name = f"{old.artifact} {old.arithmetic}, {old.threads} thread{'s'[: old.threads > 1]}"
    if new is None:
        return f"{name}: the last run lacks it"
    before, after = _figure(old, limit), _figure(new, limit)
    if before is None or after is None:
        return f"{name}: no {limit.figure} in the {'first' if before is None else 'last'} run"
    if not before and after:
        return f"{name}: {limit.figure} is 0 in the first run, which has no percentage"
    change = after / before - 1 if before else 0.0
    valid = old.valid is not False and new.valid is not False
    return RowChange(name, before, after, change, change > limit.share, valid)


def _figure(row: BenchRow | PipelineRow, limit: Limit) -> float | None:
    value: float | None = getattr(row, FIGURES[limit.figure], None)
    return value
