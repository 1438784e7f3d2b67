"""The report as one self-contained HTML page: pictures and tables, no script, light or dark as the system is."""

from collections.abc import Iterator, Sequence
from html import escape

from edge.bench.conditions import describe_conditions
from edge.bench.record import BenchRun
from edge.bench.report.columns import (
    COLUMNS,
    LAYER,
    PAGE,
    PIPELINE,
    STAGE,
    UNKNOWN,
    cells,
    layer_cells,
    pipeline_cells,
    score_tables,
    stage_cells,
)
from edge.bench.report.pictures import pictures, pipeline_pictures
from edge.bench.report.results import LabelledResult, ReportRow, report_rows
from edge.bench.tiers import describe_length
from edge.types import counted

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
.bar { stroke: none; fill-opacity: .85; } .fade1 { fill-opacity: .45; } .fade2 { fill-opacity: .2; }
.hill { fill-opacity: .45; stroke-width: .8; } .mark { stroke: var(--ink); stroke-width: 1.2; }
.g0 { fill: var(--g0); stroke: var(--g0); } .g1 { fill: var(--g1); stroke: var(--g1); }
.g2 { fill: var(--g2); stroke: var(--g2); } .g3 { fill: var(--g3); stroke: var(--g3); }
.line { fill: none !important; stroke-width: 1.8; }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 50%; margin: 0 .3rem 0 1rem; }
.key.g0 { background: var(--g0); } .key.g1 { background: var(--g1); }
.key.g2 { background: var(--g2); } .key.g3 { background: var(--g3); }
"""
NOTES = (
    "p10 to p99: wall time of one image, percentiles over all rounds; rows took turns, except in tier sustained.",
    "p90 est: MLPerf's early-stopping estimate; the true p90 is above it with a probability of at most 1 %.",
    "first: the first inference after loading. burst: p50 of the first seconds; other times are of the last ones.",
    "steady: yes, where the p50 of windows of 30 s changed by less than 1 % a minute at the end.",
    "speedup: against the fp32 artifact of the same runtime, model, threads and arithmetic in the same run.",
    "px p95: distance from the reference's keypoints in pixels of the network's input, as the gate measured it.",
    "floor ms: the least time for the network's multiply-accumulates or bytes, by this machine's measured limits.",
    "over floor: p50 / floor. floor by: which of both takes longer.",
    "others: the mean number of cores that other processes used meanwhile, of those that this one might run on.",
    "valid: no, where the process got under 0.9 CPU seconds a thread and wall second: times of a busy machine;",
    "or where other processes used more than a fifth of the cores that it might run on.",
)


def page(results: Sequence[LabelledResult]) -> str:
    """Return the whole page, UTF-8 text; everything that came from a file is escaped."""
    rows = report_rows(results)
    lines = cells([row for row in rows if not row.scored], PAGE)
    # columns without any value are left out
    shown = [at for at in range(len(PAGE)) if any(line[at] != UNKNOWN for line in lines)]
    head = "".join(f'<th class="{_class(PAGE[at])}">{escape(PAGE[at])}</th>' for at in shown)
    body = "\n".join(
        f"<tr>{''.join(_cell(line[at], PAGE[at]) for at in shown)}</tr>" for line in lines
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>\n' for note in NOTES)
    table = (
        f'<h2>Table</h2>\n<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
        f"</table></div>\n{notes}"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>edgepose: {len(rows)} rows side by side</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Artifacts side by side</h1>\n{pictures(rows, results)}"
        f"{''.join(_pipelines(results))}{table if lines else ''}"
        f"{''.join(_scores(rows))}{''.join(_layers(rows))}{''.join(_facts(results))}</body>\n</html>\n"
    )


def _pipelines(results: Sequence[LabelledResult]) -> Iterator[str]:
    """Yield pictures and tables of the measured pipelines."""
    found = [
        row
        for given in results
        if isinstance(given.content, BenchRun)
        for row in given.content.pipelines
    ]
    if not found:
        return
    for row, picture in zip(found, pipeline_pictures(found), strict=True):
        yield picture + _plain_table(STAGE, stage_cells(row))
    yield f"<h2>Pipelines</h2>\n{_plain_table(tuple(PIPELINE), pipeline_cells(found))}"


def _layers(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Yield a table of the slowest layers for each row that has layer times."""
    for row in rows:
        if row.bench and row.bench.layers:
            title = f"Slowest layers of {row.artifact}, {counted(row.bench.threads, 'thread')}"
            yield f"<h2>{escape(title)}</h2>\n{_plain_table(LAYER[2:], [each[2:] for each in layer_cells(row.bench)])}"


def _plain_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in line)}</tr>\n" for line in lines
    )
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'


def _scores(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Yield a table for each protocol other than COCO's; its first two columns are words."""
    for protocol, header, lines in score_tables(rows):
        kinds = ["word", "word", *[""] * (len(header) - 2)]
        head = "".join(
            f'<th class="{k}">{escape(h)}</th>' for k, h in zip(kinds, header, strict=True)
        )
        body = "".join(
            f"<tr>{''.join(f'<td class={k!r}>{escape(t)}</td>' for k, t in zip(kinds, line, strict=True))}</tr>\n"
            for line in lines
        )
        yield (
            f'<h2>{protocol}</h2>\n<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{body}</tbody>\n</table></div>\n"
        )


def _cell(text: str, column: str) -> str:
    bad = " bad" if text == COLUMNS[column].bad else ""
    return f'<td class="{_class(column)}{bad}">{escape(text)}</td>'


def _class(column: str) -> str:
    return "word" if COLUMNS[column].word else ""


def _facts(results: Sequence[LabelledResult]) -> Iterator[str]:
    """Yield the machine, date and settings of each run."""
    for given in results:
        run = given.content
        if not isinstance(run, BenchRun):
            continue
        machine = run.machine
        facts = {
            "machine": f"{machine.cpu_model or machine.arch}, {machine.allowed_cores} cores, {' '.join(machine.isa)}",
            "date": run.date,
            **describe_conditions(run),
            "measured": describe_length(run),
            "versions": ", ".join(f"{name} {version}" for name, version in run.versions.items()),
        }
        pairs = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()
        )
        yield f"<h2>{escape(given.label)}</h2>\n<dl>{pairs}</dl>\n"
