"""Pictures of a report: accuracy over time, latency bars, distributions, sustained load; figures alone as bars."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edge.bench.pipeline_row import PipelineRow
from edge.bench.record import BenchRow, BenchRun
from edge.bench.report.charts.axis import GROUPS
from edge.bench.report.charts.bars import Bar, bars
from edge.bench.report.charts.curve import Curve, curves
from edge.bench.report.charts.ridges import Ridge, ridges
from edge.bench.report.charts.scatter import Point, scatter
from edge.bench.report.results import LabelledResult, ReportRow
from runtimes.registry import ENGINES

RUNTIMES = {runtime: number for number, runtime in enumerate(ENGINES)}


@dataclass(frozen=True, slots=True)
class Timed:
    """A measured row, and its short name among the others."""

    row: ReportRow
    bench: BenchRow
    name: str

    @property
    def group(self) -> int:
        """The colour of its runtime."""
        return RUNTIMES[self.bench.runtime]


def pictures(rows: Sequence[ReportRow], results: Sequence[LabelledResult]) -> str:
    """Return all pictures that the rows have figures for, each with a heading; at least one where there is a row."""
    timed = _named(rows)
    return "".join((*_speed(timed, results), *_scores(rows)))


def _speed(timed: Sequence[Timed], results: Sequence[LabelledResult]) -> Iterator[str]:
    yield _accuracy(timed)
    if not timed:
        return
    chart = bars([_latency_bar(each) for each in timed], "ms: p50, p90, p99 (lower is better)")
    yield f'<h2>Latency</h2>\n{chart}\n<p class="note">Full colour to p50, lighter to p90 and p99.{_keys(timed)}</p>\n'
    hills = ridges([ridge for each in timed if (ridge := _ridge(each))])
    if hills:
        yield (
            f'<h2>Distribution</h2>\n{hills}\n<p class="note">Runs by time, each row on its own scale up to its p99; '
            "line: p50; beyond: runs above.</p>\n"
        )
    windows = {
        given.label: run.window_s
        for given in results
        if isinstance(run := given.content, BenchRun) and run.window_s
    }
    heat = curves(
        [
            Curve(each.bench.round_p50_ms, windows[each.row.run] / 60, each.group, each.name)
            for each in timed
            if each.row.run in windows
        ]
    )
    if heat:
        yield f"<h2>Sustained load</h2>\n{heat}\n"


def pipeline_pictures(rows: Sequence[PipelineRow]) -> Iterator[str]:
    """Yield a heading and charts for each pipeline: mean time of each stage, and the distribution over frames."""
    for row in rows:
        stages = [
            Bar(
                (each.mean_ms,),
                number,
                each.stage,
                f"{each.mean_ms:.2f} ms, {each.mean_ms / row.mean_ms:.0%}",
                f"{each.stage}: in {each.runs} of {row.runs} frames",
            )
            for number, each in enumerate(row.stages)
        ]
        mark = (f"p50 {row.p50_ms:.2f} ms", row.p50_ms)
        shown = row.histogram
        hill = Ridge(shown.counts, shown.low_ms, shown.width_ms, (mark,), 0, "whole frame")
        yield (
            f"<h2>{escape(row.artifact)} on {escape(row.source)}</h2>\n"
            f"{bars(stages, 'mean ms a frame')}\n{ridges([hill])}\n"
        )


def _scores(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Yield bars of rows that have figures and no times: AP, and the first figure of other protocols."""
    if not any(row.bench for row in rows):
        judged = [
            Bar((row.ap,), 0, row.artifact, f"{row.ap:.4f}", f"{row.artifact}: {row.ap:.4f}")
            for row in rows
            if row.ap is not None
        ]
        yield bars(judged, "AP (higher is better)")
    scored = [(row, row.scored) for row in rows if row.scored]
    for protocol in dict.fromkeys(each.protocol for _, each in scored):
        figures = [
            (row.artifact, *next(iter(each.figures.items())))
            for row, each in scored
            if each.protocol == protocol and each.figures
        ]
        known = [(artifact, name, value) for artifact, name, value in figures if value]
        chart = [Bar((value,), 0, name, f"{value:.4f}", name) for name, _, value in known]
        yield bars(chart, f"{protocol}: {known[0][1]}") if known else ""


def _latency_bar(each: Timed) -> Bar:
    bench = each.bench
    if bench.p50_ms is None or bench.p90_ms is None or bench.p99_ms is None:
        value = f"{_typical(bench)} (no percentiles)"
        return Bar(
            (bench.typical_ms,), each.group, each.name, value, f"{each.row.artifact}: {value}"
        )
    title = f"{each.row.artifact}: p50 {bench.p50_ms:.2f}, p90 {bench.p90_ms:.2f}, p99 {bench.p99_ms:.2f} ms"
    value = f"p50 {bench.p50_ms:.2f}, p99 {bench.p99_ms:.2f}"
    return Bar((bench.p50_ms, bench.p90_ms, bench.p99_ms), each.group, each.name, value, title)


def _typical(row: BenchRow) -> str:
    return f"{'mean' if row.p50_ms is None else 'p50'} {row.typical_ms:.2f} ms"


def _ridge(each: Timed) -> Ridge | None:
    found = each.bench.histogram
    if found is None:
        return None
    mark = (_typical(each.bench), each.bench.typical_ms)
    return Ridge(found.counts, found.low_ms, found.width_ms, (mark,), each.group, each.name)


def _accuracy(timed: Sequence[Timed]) -> str:
    """Return the scatter of rows with both a time and an accuracy: AP if any row has one, else px p95."""
    by_ap = any(each.row.ap is not None for each in timed)
    points = [
        Point(
            each.bench.typical_ms,
            value,
            float(each.bench.bytes),
            each.group,
            each.name,
            f"{each.row.artifact}: {_typical(each.bench)}, {value:.4g}, {each.bench.bytes / 1e6:.2f} MB",
        )
        for each in timed
        if (value := each.row.ap if by_ap else each.bench.px_p95) is not None
    ]
    if not points:
        return ""
    missing = len(timed) - len(points)
    left_out = f" {missing} rows without an accuracy are not shown." if missing else ""
    label = "AP (higher is better)" if by_ap else "px p95 (lower is better)"
    shown = scatter(points, "p50 ms (lower is better)", label)
    return (
        f"<h2>Accuracy and latency</h2>\n{shown}\n"
        f'<p class="note">Area: bytes of the engine\'s files.{left_out}{_keys(timed)}</p>\n'
    )


def _keys(timed: Sequence[Timed]) -> str:
    runtimes = list(ENGINES)
    used = sorted({each.group for each in timed})
    return "".join(f'<span class="key g{each % GROUPS}"></span>{runtimes[each]}' for each in used)


def _named(rows: Sequence[ReportRow]) -> list[Timed]:
    """Return the measured rows with names as short as they differ."""
    measured = [(row, row.bench) for row in rows if row.bench]
    common = _common_start([row.artifact for row, _ in measured])
    several = len({row.run for row, _ in measured}) > 1
    return [
        Timed(
            row,
            bench,
            f"{row.run + ': ' if several else ''}{row.artifact[common:]} {bench.arithmetic} {bench.threads}t",
        )
        for row, bench in measured
    ]


def _common_start(names: Sequence[str]) -> int:
    """Return the length of the names' common start, up to a dot or a dash."""
    if len(set(names)) < 2:
        return 0
    first, last = min(names), max(names)
    same = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first)
    )
    common = first[:same]
    return max(common.rfind("."), common.rfind("-")) + 1
