"""edgepose compare: benchmark and evaluation results side by side, with a check for regressions."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from edge.bench.record import BenchRun
from edge.bench.regression import Limit, compare_runs, parse_limit, same_machine
from edge.bench.report.columns import COMPARE, PIPELINE, cells, pipeline_cells, score_tables
from edge.bench.report.results import LabelledResult, ReportRow, read_results, report_rows
from edge.cli.console import command_line, emit_json, emit_table, hint, number, say
from edge.cli.options import PATH, force_option, html_option, json_option
from edge.cli.outputs import check_reports, write_report
from runtimes.errors import InputError


@click.command("compare")
@click.argument("files", nargs=-1, required=True, type=PATH)
@click.option(
    "--fail-on",
    metavar="FIGURE:+N%",
    help="p90:+10%: exit 3 where a row of the first run is that much worse, or missing, in the last.",
)
@html_option
@force_option
@json_option
def command(
    files: tuple[Path, ...], fail_on: str | None, html: Path | None, force: bool, as_json: bool
) -> int:
    """Compare FILES: RUN.json of `bench --out`, and the output of `eval --json`."""
    limit = parse_limit(fail_on) if fail_on else None
    if len({path.resolve() for path in files}) < len(files):
        raise InputError("a file is named twice; name each once")
    check_reports((html,), force=force)
    results = [
        result
        for path, label in zip(files, _labels(files), strict=True)
        for result in read_results(path, label)
    ]
    runs = [result.content for result in results if isinstance(result.content, BenchRun)]
    if limit and len(runs) < 2:
        raise InputError(f"--fail-on needs two runs of `edgepose bench --out`, got {len(runs)}")
    rows = report_rows(results)
    worse = _worse(runs[0], runs[-1], limit) if limit else []
    if as_json:
        emit_json([*(row.to_dict() for row in rows), *_pipelines(results)])
    else:
        _print(rows)
        lines = [line for run in runs for line in pipeline_cells(run.pipelines)]
        if lines:
            emit_table(tuple(PIPELINE), lines)
    if not same_machine(runs):
        say("the runs are from different machines: compare ratios, not times")
    for result in results:
        if isinstance(result.content, BenchRun) and result.content.partial:
            say(f"{result.label} is partial: {result.content.partial}")
    for line in worse:
        say(line)
    if html:
        from edge.bench.report.html import page

        write_report(html, page(results).encode())
    hint(
        f"open {shlex.quote(str(html))}"
        if html
        else command_line("compare", *files, "--html", "REPORT.html")
    )
    return 3 if worse else 0


def _pipelines(results: Sequence[LabelledResult]) -> list[dict[str, object]]:
    """Return the measured pipelines, each with the label of its run."""
    return [
        {"run": each.label, "artifact": row.artifact, **msgspec.structs.asdict(row)}
        for each in results
        if isinstance(each.content, BenchRun)
        for row in each.content.pipelines
    ]


def _print(rows: Sequence[ReportRow]) -> None:
    """Print the times and APs as one table, and the figures of each other protocol as one of their own."""
    plain = [row for row in rows if not row.scored]
    if plain:
        emit_table(COMPARE, cells(plain, COMPARE))
    for _, header, lines in score_tables(rows):
        emit_table(header, lines)


def _worse(first: BenchRun, last: BenchRun, limit: Limit) -> list[str]:
    """Return a line for each row over the limit or not judged, and say where the machine's load may be the cause."""
    found = compare_runs(first, last, limit)
    if not all(each.valid for each in found.changes):
        say(
            "some rows are not valid (other processes used their cores): the change may come from the machine's load"
        )
    worse = [
        f"worse: {each.name}: {limit.figure} {number(each.before)} -> {number(each.after)}, "
        f"{each.change:+.1%} (limit {limit.share:+.1%})"
        for each in found.changes
        if each.worse
    ]
    return [*worse, *(f"not judged: {each}" for each in found.missing)]


def _labels(files: Sequence[Path]) -> list[str]:
    """Name each file by its stem, or by its path where two share a stem."""
    stems = [path.stem for path in files]
    return stems if len(set(stems)) == len(stems) else [str(path) for path in files]
