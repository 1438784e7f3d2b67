"""The report as one self-contained HTML page: table and scatter, no script, light or dark as the system is."""

from collections.abc import Iterator, Sequence
from html import escape

from edge.bench.columns import COLUMNS, COMPARE, UNKNOWN, cells
from edge.bench.record import BenchRow, BenchRun
from edge.bench.report import LabelledResult, ReportRow, report_rows
from edge.bench.scatter import GROUPS, Point, scatter
from runtimes.registry import ENGINES

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6676; --line: #d8dde4; --paper: #ffffff; --row: #f4f6f9;
  --bad: #b3261e; --g0: #1f6fd1; --g1: #b8520a; --g2: #23803f; --g3: #7d3fb8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b5; --line: #39424f; --paper: #14181e;
  --row: #1c222a; --bad: #ff8a80; --g0: #6fb1ff; --g1: #f2a35e; --g2: #6fce8b; --g3: #c69bf0; } }
body { margin: 2rem auto; max-width: 84rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } td.word, th.word { text-align: left; }
tbody tr:nth-child(even) { background: var(--row); }
.bad { color: var(--bad); font-weight: 600; }
p.note, dl { color: var(--soft); } dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dd { margin: 0; }
svg { width: 100%; max-width: 60rem; height: auto; font: 11px system-ui, sans-serif; }
.axis { fill: none; stroke: var(--soft); } .grid { stroke: var(--line); stroke-width: .6; }
.tick { fill: var(--soft); } .name { fill: var(--ink); } .lead { stroke: var(--soft); stroke-width: .6; }
.dot { fill-opacity: .55; stroke-width: 1.2; }
.g0 { fill: var(--g0); stroke: var(--g0); } .g1 { fill: var(--g1); stroke: var(--g1); }
.g2 { fill: var(--g2); stroke: var(--g2); } .g3 { fill: var(--g3); stroke: var(--g3); }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin: 0 .3rem 0 1rem; }
.key.g0 { background: var(--g0); } .key.g1 { background: var(--g1); }
.key.g2 { background: var(--g2); } .key.g3 { background: var(--g3); }
"""
NOTES = (
    "p50, p90: wall time of one image, percentiles over all rounds; rows of one run took turns.",
    "speedup: against the fp32 artifact of the same runtime, model, threads and arithmetic in the same run.",
    "px p95: distance from the reference's keypoints in pixels of the network's input, as the gate measured it.",
    "valid: no, where the process got under 0.9 CPU seconds a thread and wall second: times of a busy machine.",
)


def page(results: Sequence[LabelledResult]) -> str:
    """Return the whole page, UTF-8 text; everything that came from a file is escaped."""
    rows = report_rows(results)
    lines = cells(rows, COMPARE)
    # columns without any value are left out
    shown = [at for at in range(len(COMPARE)) if any(line[at] != UNKNOWN for line in lines)]
    head = "".join(f'<th class="{_class(COMPARE[at])}">{escape(COMPARE[at])}</th>' for at in shown)
    body = "\n".join(
        f"<tr>{''.join(_cell(line[at], COMPARE[at]) for at in shown)}</tr>" for line in lines
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in NOTES)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgepose: {len(rows)} rows side by side</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Artifacts side by side</h1>\n{_picture(rows)}"
        f'<h2>Table</h2>\n<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        f"</table></div>\n{notes}{''.join(_facts(results))}</body>\n</html>\n"
    )


def _cell(text: str, column: str) -> str:
    bad = " bad" if text == COLUMNS[column].bad else ""
    return f'<td class="{_class(column)}{bad}">{escape(text)}</td>'


def _class(column: str) -> str:
    return "word" if COLUMNS[column].word else ""


def _picture(rows: Sequence[ReportRow]) -> str:
    """Return the scatter of rows with both a time and an accuracy: AP if any row has one, else px p95."""
    timed = [(row, row.bench) for row in rows if row.bench]
    by_ap = any(row.ap is not None for row, _ in timed)
    points = _points(timed, by_ap=by_ap)
    if not points:
        return (
            '<p class="note">No picture: no measured row has an accuracy (AP or px p95). '
            "Give what edgepose eval --json printed too.</p>\n"
        )
    missing = len(timed) - len(points)
    left_out = f" {missing} rows without an accuracy are not shown." if missing else ""
    runtimes = list(ENGINES)
    used = sorted({point.group for point in points})
    keys = "".join(f'<span class="key g{each % GROUPS}"></span>{runtimes[each]}' for each in used)
    label = "AP (higher is better)" if by_ap else "px p95 (lower is better)"
    shown = scatter(points, "p50 ms (lower is better)", label)
    return f'{shown}\n<p class="note">Area: bytes of the engine\'s files.{left_out}{keys}</p>\n'


def _points(timed: Sequence[tuple[ReportRow, BenchRow]], *, by_ap: bool) -> list[Point]:
    """Return a point for each row with an accuracy; its group is its runtime."""
    groups = {runtime: number for number, runtime in enumerate(ENGINES)}
    common = _common_start([row.artifact for row, _ in timed])
    several = len({row.run for row, _ in timed}) > 1
    points = []
    for row, bench in timed:
        value = row.ap if by_ap else bench.px_p95
        if value is None:
            continue
        how = f"{bench.arithmetic} {bench.threads}t"
        title = (
            f"{row.artifact}, {how}: {bench.p50_ms:.2f} ms, {value:.4g}, {bench.bytes / 1e6:.2f} MB"
        )
        name = f"{row.run + ': ' if several else ''}{row.artifact[common:]} {how}"
        group = groups[bench.runtime]
        points.append(Point(bench.p50_ms, value, float(bench.bytes), group, name, title))
    return points


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


def _facts(results: Sequence[LabelledResult]) -> Iterator[str]:
    """Yield the machine, date and settings of each run."""
    for given in results:
        run = given.content
        if not isinstance(run, BenchRun):
            continue
        machine = run.machine
        load = " to ".join(
            "?" if each is None else f"{each:.2f}" for each in (run.load_before, run.load_after)
        )
        facts = {
            "machine": f"{machine.cpu_model or machine.arch}, {machine.allowed_cores} cores, {' '.join(machine.isa)}",
            "date": run.date,
            "load average": load,
            "measured": f"{run.rounds} rounds, {run.time_s:g} s a row, warmed by {run.warmup_runs} runs or more",
            "versions": ", ".join(f"{name} {version}" for name, version in run.versions.items()),
        }
        pairs = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
        )
        yield f"<h2>{escape(given.label)}</h2>\n<dl>{pairs}</dl>\n"
