"""edgepose tune: the fastest options that are still right on this machine, for artifacts of one model; no torch."""

from pathlib import Path

import click

from edge.bench.columns import BENCH, bench_cells
from edge.cli.commands.bench import warn_of_noise
from edge.cli.console import describe, emit_json, emit_table, hint, progress, say, verdict
from edge.cli.options import json_option, parse_counts


@click.command("tune")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--threads", help="1,2,4. Default: powers of two up to the allowed cores, and all of these."
)
@click.option(
    "--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns that a row gets."
)
@click.option(
    "--time",
    "time_s",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Timed seconds a row, over all rounds.",
)
@json_option
def command(
    artifacts: tuple[Path, ...], threads: str | None, rounds: int, time_s: float, as_json: bool
) -> None:
    """Measure threads x arithmetic x accelerator of ARTIFACTS (of one model) and keep the fastest that is right.

    The choice goes to tuned.json beside the engine's files; `edge.load_tuned` reads it.
    """
    from edge.bench.measure import Plan, measure, open_artifacts, open_workers, steps
    from edge.bench.tune import (
        as_tuned,
        candidates,
        check_row,
        choose,
        distinct,
        one_model,
        thread_counts,
    )
    from edge.bench.tuned import save_tuned
    from runtimes.threads import allowed_cores

    counts = (
        thread_counts(allowed_cores()) if threads is None else parse_counts(threads, "--threads")
    )
    plan = Plan(rounds=rounds, time_s=time_s)
    opened = open_artifacts(artifacts)
    one_model(opened)
    say("asking each engine which arithmetic and accelerators it takes here")
    with open_workers(candidates(opened, counts)) as started:
        workers = distinct(started)
        measured = [worker.artifact for worker in workers]
        with progress("loading", steps(len(workers), plan)) as advance:
            run = measure(workers, plan, advance)
    choice = choose(run.rows, lambda index: check_row(measured[index], run.rows[index]))
    artifact = measured[choice.index]
    tuned = as_tuned(artifact, choice, run.rows, run.date)
    kept = save_tuned(artifact, tuned)
    refused = {each.index: each.reason for each in choice.refused}
    if as_json:
        emit_json(
            {
                "chosen": run.rows[choice.index],
                "tuned": tuned,
                "file": str(kept),
                "refused": [
                    {"row": run.rows[index], "reason": reason} for index, reason in refused.items()
                ],
                "rows": run.rows,
            }
        )
    else:
        marks = [
            "chosen" if index == choice.index else refused.get(index, "")
            for index in range(len(measured))
        ]
        table = zip(bench_cells(run.rows), marks, strict=True)
        emit_table([*BENCH, "choice"], [[*cells, mark] for cells, mark in table])
    warn_of_noise(run)
    for each in choice.refused:
        figure = f": {describe(each.parity)}" if each.parity else ""
        say(f"refused: {run.rows[each.index].artifact}: {each.reason}{figure}")
    if choice.parity:
        say(f"checked here: {verdict(choice.parity.passed)}, {describe(choice.parity)}")
    say(
        f"fastest: {artifact.name}, {tuned.threads} thread{'s'[: tuned.threads > 1]}, {tuned.precision}, "
        f"{tuned.accelerator}; kept in {kept}"
    )
    hint(
        f"edgepose verify {artifact.root} --threads {tuned.threads} --precision {tuned.precision}"
        f" --accelerator {tuned.accelerator}"
    )
