"""Warnings about a benchmark's rows: starved, too short, throttled, without a floor."""

from edge.bench.conditions import throttled
from edge.bench.limits.record import load_limits
from edge.bench.record import BenchRun, all_rows
from edge.bench.tiers import MOST_S
from edge.cli.console import say


def warn_of_length(run: BenchRun) -> None:
    """Say which rows have fewer runs than their tier asks for, or times that have not settled."""
    for row in all_rows(run):
        if run.queries and row.runs < run.queries:
            say(
                f"{row.artifact}: {row.runs} of {run.queries} runs in {MOST_S:g} s: not of tier {run.tier}"
            )
    for reason in throttled(run):
        say(f"the clocks were throttled ({reason}): times are of a hot or starved device")
    for row in run.rows:
        if row.steady is False:
            say(f"{row.artifact}: its times had not settled; give it more --minutes")


def warn_of_noise(run: BenchRun) -> None:
    """Say where other processes took the cores, and that ratios are then more reliable than times."""
    rows = all_rows(run)
    bad = sum(row.valid is False for row in rows)
    if bad:
        load = "" if run.load_before is None else f" (load average {run.load_before:.1f} before)"
        turns = (
            "; rows took turns, so their ratios are more reliable than their times"
            if run.rounds > 1 and not run.window_s
            else ""
        )
        say(
            f"{bad} of {len(rows)} rows are not valid: other processes used their cores{load}{turns}. "
            "Run again on an idle machine, or with fewer threads"
        )


def say_unmeasured(run: BenchRun) -> None:
    """Say what rows have no floor for, where they could have one."""
    if not run.host and any(row.macs for row in run.rows) and load_limits(run.machine) is None:
        say("floor: the limits of this machine are not known; run `edgepose doctor --measure` once")
