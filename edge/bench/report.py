"""Artifacts side by side: speed from benchmark runs, accuracy from evaluations and from the gate, one row each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edge.bench.record import BenchRow, BenchRun, decode_run
from edge.evaluation.summary import EvalResult
from runtimes.base import Accelerator, Arithmetic
from runtimes.errors import InputError
from runtimes.spec import Precision, Runtime


@dataclass(frozen=True, slots=True)
class Sheet:
    """One file of results, and the name it goes by."""

    label: str
    content: BenchRun | EvalResult


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One artifact with one set of options in one run; None where nothing given says.

    ap_drop: from the first fp32 artifact that has an AP on the same set, or else the first artifact that has one;
    positive is worse. p50_change, p90_change: against the same artifact and options in the first run; .1: 10 % slower.
    """

    run: str
    artifact: str
    model: str = ""
    runtime: Runtime | None = None
    precision: Precision | None = None
    arithmetic: Arithmetic | None = None
    threads: int | None = None
    accelerator: Accelerator | None = None
    ap: float | None = None
    ap_on: str = ""
    ap_drop: float | None = None
    px_p95: float | None = None
    bytes: int | None = None
    p50_ms: float | None = None
    p90_ms: float | None = None
    p50_change: float | None = None
    p90_change: float | None = None
    speedup: float | None = None
    valid: bool | None = None
    passed: bool | None = None


def read_sheets(path: Path, label: str) -> list[Sheet]:
    """Read a RUN.json of `bench --out`, or what `eval --json` printed (one result or a list of them).

    Raises InputError where the file is neither.
    """
    try:
        data = path.read_bytes()
        raw = msgspec.json.decode(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: no JSON ({error}); give what `edgepose bench --out` wrote"
        ) from error
    if isinstance(raw, dict) and raw.get("kind") == "bench":
        return [Sheet(label, decode_run(path, data))]
    try:
        results = msgspec.convert(raw if isinstance(raw, list) else [raw], list[EvalResult])
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: neither a RUN.json of `edgepose bench --out` nor `edgepose eval --json` ({error})"
        ) from error
    return [Sheet(label, result) for result in results]


def report_rows(sheets: Sequence[Sheet]) -> list[ReportRow]:
    """Return a row for each measured row, with its artifact's AP beside it, then what was only evaluated.

    An artifact evaluated twice has its first AP beside its times, and a row for each further one.
    """
    evals = [
        (sheet.label, each) for sheet in sheets if isinstance(each := sheet.content, EvalResult)
    ]
    runs = [(sheet.label, each) for sheet in sheets if isinstance(each := sheet.content, BenchRun)]
    measured: dict[str, EvalResult] = {}
    for _, result in evals:
        measured.setdefault(result.artifact, result)
    rows = [
        _measured(label, row, measured.get(row.artifact)) for label, run in runs for row in run.rows
    ]
    timed = {row.artifact for row in rows}
    rows += [
        ReportRow(label, result.artifact, ap=result.AP, ap_on=result.ap_on)
        for label, result in evals
        if result.artifact not in timed or measured[result.artifact] is not result
    ]
    return _with_drops(_with_changes(rows, runs[0][0] if runs else ""))


def row_key(row: ReportRow) -> tuple[object, ...]:
    """Return what makes rows of two runs the same thing measured twice."""
    return row.artifact, row.arithmetic, row.threads, row.accelerator


def _measured(label: str, row: BenchRow, result: EvalResult | None) -> ReportRow:
    return ReportRow(
        run=label,
        artifact=row.artifact,
        model=row.model,
        runtime=row.runtime,
        precision=row.precision,
        arithmetic=row.arithmetic,
        threads=row.threads,
        accelerator=row.accelerator,
        ap=result.AP if result else row.ap,
        ap_on=result.ap_on if result else row.ap_on,
        px_p95=row.px_p95,
        bytes=row.bytes,
        p50_ms=row.p50_ms,
        p90_ms=row.p90_ms,
        speedup=row.speedup,
        valid=row.valid,
        passed=row.passed,
    )


def _with_changes(rows: Sequence[ReportRow], first: str) -> list[ReportRow]:
    base = {row_key(row): row for row in rows if row.run == first and row.p50_ms is not None}
    return [_changed(row, base.get(row_key(row)), first) for row in rows]


def _changed(row: ReportRow, base: ReportRow | None, first: str) -> ReportRow:
    if base is None or row.run == first:
        return row
    return replace(
        row,
        p50_change=_share(row.p50_ms, base.p50_ms),
        p90_change=_share(row.p90_ms, base.p90_ms),
    )


def _share(value: float | None, base: float | None) -> float | None:
    return value / base - 1 if value is not None and base else None


def _with_drops(rows: Sequence[ReportRow]) -> list[ReportRow]:
    """Fill in ap_drop: a row has one where another row is its reference."""
    judged = [row for row in rows if row.ap is not None]
    plainest = sorted(
        judged, key=lambda row: row.precision != "fp32"
    )  # stable: the first stays first
    reference: dict[str, ReportRow] = {}
    for row in plainest:
        reference.setdefault(row.ap_on, row)
    return [_dropped(row, reference.get(row.ap_on)) for row in rows]


def _dropped(row: ReportRow, reference: ReportRow | None) -> ReportRow:
    if row.ap is None or reference is None or reference.ap is None:
        return row
    return (
        row if row.artifact == reference.artifact else replace(row, ap_drop=reference.ap - row.ap)
    )
