"""edgepose bench: artifacts measured side by side on this machine; needs no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
import msgspec

from edge.bench.columns import BENCH, bench_cells
from edge.bench.record import BenchRun
from edge.cli.checks import require_writable
from edge.cli.console import emit_json, emit_table, hint, progress, say
from edge.cli.options import force_option, json_option, parse_counts, parse_list
from runtimes.base import Accelerator, Arithmetic
from runtimes.errors import InputError, TargetExistsError

PRECISIONS = {name: name for name in get_args(Arithmetic)}


@click.command("bench")
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--threads", help="1,2,4: each is a row. Default: min(4, allowed cores).")
@click.option(
    "--precision", default="f32", show_default=True, help="Arithmetic: f32,bf16,f16, each a row."
)
@click.option("--accelerator", type=click.Choice(get_args(Accelerator)), default="cpu")
@click.option(
    "--rounds", type=click.IntRange(1), default=10, show_default=True, help="Turns that a row gets."
)
@click.option(
    "--warmup",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Untimed runs before the first round, and at least half a second of them.",
)
@click.option(
    "--time",
    "time_s",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="Timed seconds a row, over all rounds.",
)
@click.option("--out", type=click.Path(path_type=Path), help="RUN.json, for `edgepose compare`.")
@click.option("--html", type=click.Path(path_type=Path), help="REPORT.html, a page by itself.")
@force_option
@json_option
def command(
    artifacts: tuple[Path, ...],
    threads: str | None,
    precision: str,
    accelerator: Accelerator,
    rounds: int,
    warmup: int,
    time_s: float,
    out: Path | None,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure ARTIFACTS side by side: each in a process of its own, taking turns, batch 1, on its own inputs."""
    from edge.bench.measure import Plan, bench, make_cases, open_artifacts, steps

    counts = [None] if threads is None else parse_counts(threads, "--threads")
    arithmetic = parse_list(precision, PRECISIONS, "precision")
    plan = Plan(rounds=rounds, time_s=time_s, warmup_runs=warmup)
    check_targets((out, html), force=force)
    cases = make_cases(open_artifacts(artifacts), counts, arithmetic, accelerator)
    with progress("loading", steps(len(cases), plan)) as advance:
        run = bench(cases, plan, advance)
    if out:
        write_whole(out, msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")
    if html:
        from edge.bench.html import page
        from edge.bench.report import Sheet

        label = out.stem if out else "this run"
        write_whole(html, page([Sheet(label, run)]).encode())
    if as_json:
        emit_json(run.rows)
    else:
        emit_table(BENCH, bench_cells(run.rows))
    warn_of_noise(run)
    hint(f"edgepose compare {out} OTHER.json" if out else f"edgepose tune {artifacts[0]}")


def warn_of_noise(run: BenchRun) -> None:
    """Say where the machine was not ours, and that ratios then are worth more than times."""
    bad = sum(row.valid is False for row in run.rows)
    if bad:
        load = "" if run.load_before is None else f" (load average {run.load_before:.1f} before)"
        say(
            f"{bad} of {len(run.rows)} rows are not valid: they did not have their cores{load}; rows took turns, so "
            "their ratios say more than their times. Run again on a quiet machine, or with fewer threads"
        )


def check_targets(files: Sequence[Path | None], *, force: bool) -> None:
    """Refuse, before anything runs, a file that cannot be written, exists without --force, or is named twice."""
    named = [path for path in files if path]
    if len({path.resolve() for path in named}) < len(named):
        raise InputError("two options name the same target; give each its own")
    for path in named:
        if path.is_dir():
            raise InputError(f"{path} is a directory; name a file")
        if path.exists() and not force:
            raise TargetExistsError(f"{path} exists; add --force to replace it, or name another")
        if not path.parent.is_dir():
            raise InputError(f"{path.parent} is no directory; make it first")
        require_writable(path.parent)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there."""
    from runtimes.files import atomic_file

    with atomic_file(path) as stream:
        stream.write(data)
