"""edgepose bench: latency, memory and size of artifacts, measured side by side on this machine; needs no torch."""

from pathlib import Path
from typing import get_args

import click
import msgspec

from edge.bench.conditions import describe_conditions
from edge.bench.measure import Case, Plan, bench, make_cases, open_artifacts, open_for_board, steps
from edge.bench.record import BenchRun
from edge.bench.remote.bench import Remote, bench_remote
from edge.bench.remote.ssh import PYTHON
from edge.bench.report.columns import (
    BENCH,
    LAYER,
    PHONE,
    PIPELINE,
    STAGE,
    SUSTAINED,
    bench_cells,
    layer_cells,
    pipeline_cells,
    score_tables,
    stage_cells,
)
from edge.bench.report.results import LabelledResult, ReportRow
from edge.bench.sustained import Sustained, bench_sustained
from edge.bench.tiers import Tier, describe_length, plan_of
from edge.cli.benching.extras import Extras, extra_options
from edge.cli.benching.pipeline import (
    PipelineChoice,
    measure_pipeline,
    pipeline_options,
    with_tuned,
)
from edge.cli.benching.warnings import say_unmeasured, warn_of_length, warn_of_noise
from edge.cli.console import command_line, emit_json, emit_table, hint, progress, say
from edge.cli.options import (
    ARTIFACT,
    PATH,
    FloatRange,
    accelerator_option,
    engine_option,
    force_option,
    html_option,
    json_option,
    parse_list,
    parse_threads,
    plan_options,
    setting,
    together,
    tuned_option,
)
from edge.cli.outputs import check_reports, write_report
from edge.cli.signals import sigterm_exits
from edge.cli.verb import Verb
from runtimes.base import Accelerator, Arithmetic, RunOptions
from runtimes.errors import DeviceLostError, EdgeposeError, InputError

PRECISIONS = {name: name for name in get_args(Arithmetic)}
remote_options = together(
    click.option(
        "--remote",
        metavar="TARGET",
        help="Measure on a board: ssh:USER@HOST, which needs Python and the engine alone, or adb:SERIAL, a phone.",
    ),
    setting(["--remote-python"], str, PYTHON, "Python on the board, such as '~/pose/bin/python'."),
    click.option(
        "--ssh-config", type=PATH, help="Configuration for ssh in place of ~/.ssh/config."
    ),
    click.option(
        "--remote-binary",
        type=PATH,
        multiple=True,
        help="Over adb: your Android build of benchncnn (ncnn) or benchmark_model (tflite); may be repeated.",
    ),
    section="Remote",
)


@click.command("bench", cls=Verb)
@click.argument("artifacts", nargs=-1, type=ARTIFACT)
@pipeline_options
@extra_options
@click.option(
    "--threads",
    help="Comma-separated, 1 to 256: 1,2,4 makes three rows. Default: min(4, allowed cores).",
)
@setting(["--precision"], str, "f32", "Arithmetic, comma-separated: f32,bf16,f16 makes three rows.")
@accelerator_option
@engine_option
@tuned_option
@click.option(
    "--tier",
    type=click.Choice(get_args(Tier)),
    help="In place of --time: at least 64 runs and 6 s (rapid), 128 and 10 s (quick), 1024 and 60 s (normal); "
    "or windows of 30 s until their medians change by less than 1 % a minute (sustained).",
)
@click.option(
    "--iterations", type=click.IntRange(1), help="In place of --time: exactly so many timed runs."
)
@click.option(
    "--minutes",
    type=FloatRange(0, min_open=True),
    help="Limit of --tier sustained for each row. Default: 30.",
)
@plan_options
@setting(
    ["--warmup", "warmup_runs"],
    click.IntRange(1),
    10,
    "Untimed runs before the first round, for at least half a second.",
)
@remote_options
@click.option("--out", type=PATH, help="Write RUN.json, for `edgepose compare`.")
@html_option
@force_option
@json_option
def command(
    artifacts: tuple[Path, ...],
    threads: str | None,
    precision: str,
    accelerator: Accelerator,
    extra: dict[str, int | str],
    tuned: bool,
    tier: Tier | None,
    iterations: int | None,
    minutes: float | None,
    choice: PipelineChoice,
    extras: Extras,
    plan: Plan,
    remote: Remote,
    out: Path | None,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure ARTIFACTS side by side: one process each, taking turns, batch 1, on their stored inputs.

    With --pipeline SOURCE: a detector and a pose model together, from frames to poses, stage by stage.
    """
    choice.check(artifacts)
    extras.refuse_elsewhere(remote.remote, choice.pipeline)
    _refuse_unused(tier, iterations)
    if remote.remote:
        _refuse_local(tuned=tuned, extra=extra)
    length = plan_of(plan, tier, iterations, minutes)
    counts = [None] if threads is None else parse_threads(threads)
    arithmetic = parse_list(precision, PRECISIONS, "precision")
    check_reports((out, html), force=force)
    failure: EdgeposeError | None = None
    if choice.pipeline is not None:
        if remote.remote or len(counts) * len(arithmetic) > 1:
            raise InputError(
                "--pipeline measures one number of --threads and one --precision, on this machine"
            )
        options = RunOptions(counts[0], arithmetic[0], accelerator, extra)
        run = measure_pipeline(choice, options, length, tuned=tuned)
    else:
        opened = (open_for_board if remote.remote else open_artifacts)(artifacts)
        cases = make_cases(opened, counts, arithmetic, accelerator, extra)
        cases = [with_tuned(case) for case in cases] if tuned else cases
        dataset = extras.check(cases)
        run, failure = extras.add(_measure(cases, length, remote), cases, dataset)
    if as_json:
        emit_json(run.rows or run.pipelines)
    else:
        _print(run, extras)
    _say_conditions(run, remote)
    _write(run, out, html)
    if failure:
        raise failure
    if run.partial:
        raise DeviceLostError(f"{run.partial}; what was measured before is kept, marked partial")
    hint(_next_step(artifacts[0] if artifacts else choice.pose, out, remote))


def _print(run: BenchRun, extras: Extras) -> None:
    if run.pipelines:
        emit_table(tuple(PIPELINE), pipeline_cells(run.pipelines))
        for row in run.pipelines:
            emit_table(STAGE, stage_cells(row))
        return
    columns = SUSTAINED if run.window_s else PHONE if run.host.startswith("adb:") else BENCH
    if extras.annotations:
        columns = (*columns[:3], "AP", *columns[3:])
    emit_table(columns, bench_cells(run.rows, columns))
    scored = [ReportRow("", row.artifact, row, scored=row.scored) for row in run.rows]
    for _, header, lines in score_tables(scored):
        emit_table(header, lines)
    for measured in run.rows:
        if measured.layers:
            emit_table(LAYER, layer_cells(measured))


def _say_conditions(run: BenchRun, remote: Remote) -> None:
    """Say where and how long the rows were measured, what changed meanwhile, and what to think of them."""
    _say_host(run)
    say(f"measured: {describe_length(run)}")
    changes = describe_conditions(run)
    shown = [
        f"{name} {changes[name]}" for name in ("temperature", "clock", "power") if name in changes
    ]
    if shown:
        say("; ".join(shown))
    warn_of_noise(run)
    warn_of_length(run)
    say_unmeasured(run, remote.words)


def _say_host(run: BenchRun) -> None:
    if run.host:
        system = (
            f"Android {run.versions['android']}"
            if "android" in run.versions
            else f"Python {run.versions['python']}"
        )
        say(f"on {run.host}: {run.machine.cpu_model or run.machine.arch}, {system}")


def _write(run: BenchRun, out: Path | None, html: Path | None) -> None:
    if out:
        write_report(out, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if html:
        from edge.bench.report.html import page

        label = out.stem if out else "this run"
        write_report(html, page([LabelledResult(label, run)]).encode())


def _next_step(artifact: Path | None, out: Path | None, remote: Remote) -> str:
    if out or not artifact:
        return command_line("compare", out or "RUN.json", "OTHER.json")
    if remote.remote:
        more = [*remote.words, "--threads", "1,2,4", "--out", "RUN.json"]
        return command_line("bench", artifact, *more)
    return command_line("tune", artifact)


def _refuse_local(*, tuned: bool, extra: dict[str, int | str]) -> None:
    """Raise InputError for options that are of this machine, with --remote."""
    if tuned:
        raise InputError("--tuned has options of this machine; leave it out with --remote")
    if extra:
        raise InputError(
            "--engine-option is for engines of this machine; leave it out with --remote"
        )


def _refuse_unused(tier: Tier | None, iterations: int | None) -> None:
    """Raise InputError for options that a tier, or a number of iterations, would overrule in silence."""
    source = click.get_current_context().get_parameter_source
    by = f"--tier {tier}" if tier else "--iterations" if iterations else ""
    for name, flag in (("time_s", "--time"), ("rounds", "--rounds")):
        overruled = by and (flag == "--time" or tier == "sustained")
        if overruled and source(name) is not click.core.ParameterSource.DEFAULT:
            raise InputError(f"{by} sets the length; leave out {flag}")


def _measure(cases: list[Case], plan: Plan | Sustained, remote: Remote) -> BenchRun:
    if remote.remote:
        total = None if isinstance(plan, Sustained) else steps(len(cases), plan)
        with sigterm_exits(), progress(f"loading on {remote.remote}", total) as advance:
            return bench_remote(remote, cases, plan, advance)
    if isinstance(plan, Sustained):
        with sigterm_exits(), progress("loading", None) as advance:
            return bench_sustained(cases, plan, advance)
    with sigterm_exits(), progress("loading", steps(len(cases), plan)) as advance:
        return bench(cases, plan, advance)
