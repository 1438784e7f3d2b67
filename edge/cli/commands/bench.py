"""edgepose bench: latency, memory and size of artifacts, measured side by side on this machine; needs no torch."""

from pathlib import Path
from typing import get_args

import click
import msgspec

from devices.tuned import tuned_options
from edge.bench.columns import BENCH, bench_cells
from edge.bench.measure import Case, Plan, bench, make_cases, open_artifacts, steps
from edge.bench.record import BenchRun
from edge.cli.console import emit_json, emit_table, hint, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    accelerator_option,
    force_option,
    html_option,
    json_option,
    parse_list,
    parse_threads,
    plan_options,
    setting,
    tuned_option,
)
from edge.cli.outputs import check_reports, write_report
from edge.cli.verb import Verb
from runtimes.base import Accelerator, Arithmetic

PRECISIONS = {name: name for name in get_args(Arithmetic)}


@click.command("bench", cls=Verb)
@click.argument("artifacts", nargs=-1, required=True, type=ARTIFACT)
@click.option(
    "--threads",
    help="Comma-separated, 1 to 256: 1,2,4 makes three rows. Default: min(4, allowed cores).",
)
@setting(["--precision"], str, "f32", "Arithmetic, comma-separated: f32,bf16,f16 makes three rows.")
@accelerator_option
@tuned_option
@plan_options
@setting(
    ["--warmup", "warmup_runs"],
    click.IntRange(1),
    10,
    "Untimed runs before the first round, for at least half a second.",
)
@click.option("--out", type=PATH, help="Write RUN.json, for `edgepose compare`.")
@html_option
@force_option
@json_option
def command(
    artifacts: tuple[Path, ...],
    threads: str | None,
    precision: str,
    accelerator: Accelerator,
    tuned: bool,
    plan: Plan,
    out: Path | None,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure ARTIFACTS side by side: one process each, taking turns, batch 1, on their stored inputs."""
    counts = [None] if threads is None else parse_threads(threads)
    arithmetic = parse_list(precision, PRECISIONS, "precision")
    check_reports((out, html), force=force)
    cases = make_cases(open_artifacts(artifacts), counts, arithmetic, accelerator)
    if tuned:
        cases = [Case(each.artifact, tuned_options(each.artifact, each.options)) for each in cases]
    with progress("loading", steps(len(cases), plan)) as advance:
        run = bench(cases, plan, advance)
    if as_json:
        emit_json(run.rows)
    else:
        emit_table(BENCH, bench_cells(run.rows))
    warn_of_noise(run)
    if out:
        write_report(out, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if html:
        from edge.bench.html import page
        from edge.bench.report import LabelledResult

        label = out.stem if out else "this run"
        write_report(html, page([LabelledResult(label, run)]).encode())
    hint(f"edgepose compare {out} OTHER.json" if out else f"edgepose tune {artifacts[0]}")


def warn_of_noise(run: BenchRun) -> None:
    """Say where other processes took the cores, and that ratios are then more reliable than times."""
    bad = sum(row.valid is False for row in run.rows)
    if bad:
        load = "" if run.load_before is None else f" (load average {run.load_before:.1f} before)"
        say(
            f"{bad} of {len(run.rows)} rows are not valid: other processes used their cores{load}; rows took turns, so "
            "their ratios are more reliable than their times. Run again on an idle machine, or with fewer threads"
        )
