"""edgepose tune: the fastest verified options on this machine, for artifacts of one model; needs no torch."""

from collections.abc import Sequence
from pathlib import Path

import click

from devices.detect import detect_machine
from devices.tuned import Tuned, TunedPeople, save_tuned
from edge.bench.limits.floor import with_floors
from edge.bench.limits.record import load_limits
from edge.bench.measure import Plan, measure, open_artifacts, open_workers, steps
from edge.bench.people import PEOPLE, most_requests, takes_people, tune_people
from edge.bench.record import BenchRow, BenchRun
from edge.bench.report.columns import TUNE, bench_cells
from edge.bench.tune import (
    ACCELERATORS,
    ARITHMETIC,
    Choice,
    as_tuned,
    candidates,
    check_row,
    choose,
    distinct,
    require_one_model,
    row_options,
    thread_counts,
)
from edge.cli.benching.warnings import warn_of_noise
from edge.cli.console import (
    command_line,
    describe,
    emit_json,
    emit_table,
    format_table,
    hint,
    progress,
    say,
    verdict,
)
from edge.cli.options import ARTIFACT, json_option, parse_threads, plan_options
from edge.cli.verb import Verb
from runtimes.artifact import Artifact
from runtimes.errors import GateError
from runtimes.threads import allowed_cores


@click.command("tune", cls=Verb)
@click.argument("artifacts", nargs=-1, required=True, type=ARTIFACT)
@click.option(
    "--threads",
    help="Comma-separated, 1 to 256: 1,2,4. Default: powers of two up to the allowed cores, and all of them.",
)
@click.option(
    "--under-load",
    is_flag=True,
    help="Also choose from rows whose cores other processes used: for a machine that is always busy.",
)
@plan_options
@json_option
def command(
    artifacts: tuple[Path, ...], threads: str | None, under_load: bool, plan: Plan, as_json: bool
) -> None:
    """Measure threads x arithmetic x accelerator of ARTIFACTS (of one model) and keep the fastest that verifies.

    With its options, several people of a frame are then measured as one batch and as parallel requests.

    The choice is written to tuned.json beside the engine's files; `run`, `eval` and `bench` use it with --tuned,
    `edge.load` with tuned=True.
    """
    counts = thread_counts(allowed_cores()) if threads is None else parse_threads(threads)
    opened = open_artifacts(artifacts)
    require_one_model(opened)
    say("asking each engine which arithmetic and accelerators it supports here")
    measured, run = _measure(opened, counts, plan)
    choice = _choose(measured, run, under_load=under_load)
    artifact = measured[choice.index]
    if takes_people(artifact.manifest):
        say(f"measuring {PEOPLE} people a frame")
    people = tune_people(artifact, row_options(run.rows[choice.index]), most_requests(counts), plan)
    tuned = as_tuned(artifact, choice, run.rows, run.date, people)
    path = save_tuned(artifact, tuned)
    if as_json:
        emit_json(_record(run.rows, choice, tuned, path))
    else:
        emit_table([*TUNE, "choice"], _table(run.rows, choice))
    warn_of_noise(run)
    _report(run.rows, choice)
    plural = "s" if tuned.threads > 1 else ""
    say(
        f"fastest: {artifact.name}, {tuned.threads} thread{plural}, {tuned.precision}, {tuned.accelerator}"
    )
    if people:
        say(_people(people))
    say(f"wrote {path}")
    how = ("--threads", tuned.threads, "--precision", tuned.precision)
    hint(command_line("verify", artifact.root, *how, "--accelerator", tuned.accelerator))


def _people(found: TunedPeople) -> str:
    """Return the figures of batch and requests, and which of them is used."""
    used = f"{found.requests} requests" if found.requests > 1 else "one batch"
    return (
        f"{found.people} people: {used}; one batch {found.batch_ms:.1f} ms, "
        f"{found.tried} requests {found.requests_ms:.1f} ms, ratio {found.ratio:.2f}"
    )


def _measure(
    artifacts: Sequence[Artifact], counts: Sequence[int], plan: Plan
) -> tuple[list[Artifact], BenchRun]:
    """Return the run, and the artifact of each of its rows."""
    limits = load_limits(detect_machine())
    with open_workers(candidates(artifacts, counts)) as started:
        workers = distinct(started)
        with progress("loading", steps(len(workers), plan)) as advance:
            run = with_floors(measure(workers, plan, advance), limits)
        return [worker.artifact for worker in workers], run


def _choose(artifacts: Sequence[Artifact], run: BenchRun, *, under_load: bool) -> Choice:
    """Return the choice; where there is none, the table is printed before GateError is raised."""
    try:
        return choose(
            run.rows,
            lambda index: check_row(artifacts[index], run.rows[index]),
            under_load=under_load,
        )
    except GateError:
        for line in format_table(TUNE, bench_cells(run.rows, TUNE)):
            say(line)
        raise


def _record(
    rows: Sequence[BenchRow], choice: Choice, tuned: Tuned, path: Path
) -> dict[str, object]:
    refused = [{"row": rows[each.index], "reason": each.reason} for each in choice.refused]
    return {
        "chosen": rows[choice.index],
        "tuned": tuned,
        "file": str(path),
        "refused": refused,
        "rows": rows,
    }


def _table(rows: Sequence[BenchRow], choice: Choice) -> list[list[str]]:
    """Return the rows as cells, the last of which says what was chosen or refused."""
    marks = {choice.index: "chosen", **{each.index: each.reason for each in choice.refused}}
    return [[*cells, marks.get(index, "")] for index, cells in enumerate(bench_cells(rows, TUNE))]


def _report(rows: Sequence[BenchRow], choice: Choice) -> None:
    """Say what was tried and refused, and how the chosen row compares with its reference."""
    tried, left_out = [], []
    for name, known in (("arithmetic", ARITHMETIC), ("accelerator", ACCELERATORS)):
        here = {getattr(row, name) for row in rows}
        tried.append(f"{name} {', '.join(each for each in known if each in here)}")
        left_out += [each for each in known if each not in here]
    threads = ", ".join(map(str, sorted({row.threads for row in rows})))
    absent = f"; not supported here: {', '.join(left_out)}" if left_out else ""
    say(f"tried: threads {threads}; {'; '.join(tried)}{absent}")
    for each in choice.refused:
        figure = f": {describe(each.parity)}" if each.parity else ""
        say(f"refused: {rows[each.index].artifact}: {each.reason}{figure}")
    if choice.parity:
        say(f"checked here: {verdict(choice.parity.passed)}, {describe(choice.parity)}")
