"""Warnings about a benchmark's rows: starved, too short, throttled, without a floor."""

from collections.abc import Sequence

from edge.bench.conditions import throttled
from edge.bench.limits.record import load_limits
from edge.bench.pipeline_row import PipelineRow
from edge.bench.record import MIN_CPU_WALL, BenchRow, BenchRun, all_rows, is_crowded
from edge.bench.tiers import MOST_S
from edge.cli.benching.limits import MEASURE
from edge.cli.console import command_line, say


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
    """Say which rows are not valid and why, and that ratios are then more reliable than times."""
    rows = all_rows(run)
    bad = [row for row in rows if row.valid is False]
    if bad:
        load = "" if run.load_before is None else f" (load average {run.load_before:.1f} before)"
        turns = (
            "; rows took turns, so their ratios are more reliable than their times"
            if run.rounds > 1 and not run.window_s
            else ""
        )
        say(
            f"{len(bad)} of {len(rows)} rows are not valid: {_reasons(bad)}{load}{turns}. "
            "Run again on an idle machine, or with fewer threads"
        )


def _reasons(rows: Sequence[BenchRow | PipelineRow]) -> str:
    """Return in words why rows are not valid, the worst figure of each reason."""
    shares = [each.cpu_wall for each in rows if each.cpu_wall is not None]
    crowded = [each for each in rows if is_crowded(each.others, each.cpus)]
    reasons = []
    if min(shares, default=1.0) < MIN_CPU_WALL:
        reasons.append(f"other processes used their cores (cpu/wall down to {min(shares):.2f})")
    if crowded:
        worst = max(crowded, key=lambda row: row.others or 0.0)
        reasons.append(f"others used up to {worst.others:.1f} of the {worst.cpus} cores meanwhile")
    return ", and ".join(reasons)


def say_unmeasured(run: BenchRun, where: Sequence[str]) -> None:
    """Say what rows have no floor for, where they could have one; where: options that name the board."""
    if run.host.startswith("adb:") or not any(row.macs for row in all_rows(run)):
        return
    if load_limits(run.machine, run.host) is None:
        whose = run.host or "this machine"
        say(
            f"floor: the limits of {whose} are not known; run `{command_line(*MEASURE, *where)}` once"
        )
