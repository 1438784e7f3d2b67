"""Rows of a side-by-side report: speed from benchmark runs, accuracy from evaluations and from the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from edge.bench.record import BenchRow, BenchRun, decode_run
from edge.evaluation.summary import EvalResult, ProtocolResult
from runtimes.errors import InputError
from runtimes.record import MALFORMED


@dataclass(frozen=True, slots=True)
class LabelledResult:
    """A benchmark run or an evaluation, and the label of its file."""

    label: str
    content: BenchRun | EvalResult | ProtocolResult


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One artifact with one set of options in one run, and its accuracy; None where no file given says.

    bench: None for an artifact that was only evaluated. ap_drop: from the first fp32 artifact that has an AP on the
    same set, or else the first artifact that has one; positive is worse. p50_change, p90_change: against the same
    artifact and options in the first run; .1 is 10 % slower. scored: the figures of MPII or of a dense map, in a row of
    their own.
    """

    run: str
    artifact: str
    bench: BenchRow | None = None
    ap: float | None = None
    ap_on: str = ""
    ap_drop: float | None = None
    p50_change: float | None = None
    p90_change: float | None = None
    scored: ProtocolResult | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row flat, as `compare --json` prints it: the fields of `bench` and `scored` among its own."""
        nested = {"bench", "scored"}
        own = {
            each.name: getattr(self, each.name) for each in fields(self) if each.name not in nested
        }
        measured = msgspec.structs.asdict(self.bench) if self.bench else {}
        scored = {
            name: getattr(self.scored, name, None) for name in ("protocol", "images", "figures")
        }
        return {**dict.fromkeys(BenchRow.__struct_fields__), **measured, **scored, **own}


def read_results(path: Path, label: str) -> list[LabelledResult]:
    """Read a RUN.json of `bench --out`, or what `eval --json` printed (one result or a list of them).

    Raises InputError where the file is neither.
    """
    try:
        data = path.read_bytes()
        raw = msgspec.json.decode(data)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except MALFORMED as error:
        raise InputError(
            f"{path}: no JSON ({error}); give a RUN.json of `edgepose bench --out`"
        ) from error
    if isinstance(raw, dict) and raw.get("kind") == "bench":
        return [LabelledResult(label, decode_run(path, data))]
    try:
        results = [_evaluation(each) for each in (raw if isinstance(raw, list) else [raw])]
    except msgspec.ValidationError as error:
        raise InputError(
            f"{path}: neither a RUN.json of `edgepose bench --out` nor `edgepose eval --json` ({error})"
        ) from error
    return [LabelledResult(label, result) for result in results]


def _evaluation(raw: object) -> EvalResult | ProtocolResult:
    """Convert one result of `eval --json`; only those of a protocol other than COCO's name it."""
    if isinstance(raw, dict) and "protocol" in raw:
        return msgspec.convert(raw, ProtocolResult)
    return msgspec.convert(raw, EvalResult)


def report_rows(results: Sequence[LabelledResult]) -> list[ReportRow]:
    """Return a row for each measured row, with its artifact's AP beside it, then those only evaluated.

    An artifact evaluated twice has its first AP beside its times, and a row for each further one. Figures other than
    AP come last.
    """
    evals = [
        (given.label, each) for given in results if isinstance(each := given.content, EvalResult)
    ]
    runs = [(given.label, each) for given in results if isinstance(each := given.content, BenchRun)]
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
    rows += [
        ReportRow(label, row.artifact, scored=row.scored)
        for label, run in runs
        for row in run.rows
        if row.scored
    ]
    rows += [
        ReportRow(given.label, each.artifact, scored=each)
        for given in results
        if isinstance(each := given.content, ProtocolResult)
    ]
    return _with_drops(_with_changes(rows, runs[0][0] if runs else ""))


def _measured(label: str, row: BenchRow, result: EvalResult | None) -> ReportRow:
    """Put the evaluation's AP beside a benchmark row, or else the one that the gate recorded."""
    ap, ap_on = (result.AP, result.ap_on) if result else (row.ap, row.ap_on)
    return ReportRow(label, row.artifact, row, ap, ap_on)


def _with_changes(rows: Sequence[ReportRow], first: str) -> list[ReportRow]:
    base = {row.bench.key: row.bench for row in rows if row.bench and row.run == first}
    return [_changed(row, base, first) for row in rows]


def _changed(row: ReportRow, base: Mapping[tuple[object, ...], BenchRow], first: str) -> ReportRow:
    before = base.get(row.bench.key) if row.bench else None
    if row.bench is None or before is None or row.run == first:
        return row
    return replace(
        row,
        p50_change=_change(row.bench.p50_ms, before.p50_ms),
        p90_change=_change(row.bench.p90_ms, before.p90_ms),
    )


def _change(value: float | None, base: float | None) -> float | None:
    return value / base - 1 if value is not None and base else None


def _with_drops(rows: Sequence[ReportRow]) -> list[ReportRow]:
    """Return the rows with ap_drop, where another row is their reference."""
    judged = [row for row in rows if row.ap is not None]
    # fp32 first; sorting is stable
    plainest = sorted(judged, key=lambda row: not (row.bench and row.bench.precision == "fp32"))
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
