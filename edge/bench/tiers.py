"""Durations of a benchmark: MLPerf Mobile's tiers, a number of iterations, or seconds and rounds of one's own."""

from dataclasses import dataclass, replace
from typing import Literal

from edge.bench.measure import Plan
from edge.bench.record import BenchRun
from edge.bench.sustained import Sustained
from runtimes.errors import InputError

Tier = Literal["rapid", "quick", "normal", "sustained"]
# A row of a slow model ends here with fewer queries than its tier asks for, as in MLPerf.
MOST_S = 600.0


@dataclass(frozen=True, slots=True)
class Length:
    """At least so many queries and so many seconds a row."""

    queries: int
    time_s: float


# MLPerf Mobile's tasks.pbtxt; "sustained" has no length, see `edge.bench.sustained`
LENGTHS: dict[Tier, Length] = {
    "rapid": Length(64, 6.0),
    "quick": Length(128, 10.0),
    "normal": Length(1024, 60.0),
}


def plan_of(
    plan: Plan,
    tier: Tier | None = None,
    iterations: int | None = None,
    minutes: float | None = None,
) -> Plan | Sustained:
    """Return the plan of a tier, or of a number of iterations a row, with the rounds and the warm-up of `plan`.

    minutes: the limit of tier "sustained". Raises InputError for options that exclude each other.
    """
    if minutes is not None and tier != "sustained":
        raise InputError("--minutes is the limit of --tier sustained; add that, or give --time")
    if iterations is not None:
        if tier:
            raise InputError(f"--iterations and --tier {tier} both set the runs; leave one out")
        rounds = min(plan.rounds, iterations)
        return replace(plan, rounds=rounds, exact_runs=iterations)
    if tier == "sustained":
        return _sustained(minutes, plan.warmup_runs)
    if tier is None:
        return plan
    length = LENGTHS[tier]
    return replace(plan, name=tier, queries=length.queries, time_s=length.time_s, most_s=MOST_S)


def _sustained(minutes: float | None, warmup_runs: int) -> Sustained:
    """Return the plan of tier "sustained"; within less time than a window, there is one of that time."""
    plain = Sustained(warmup_runs=warmup_runs)
    if minutes is None:
        return plain
    window_s = min(plain.window_s, minutes * 60)
    return replace(plain, minutes=minutes, window_s=window_s, burst_s=min(plain.burst_s, window_s))


def describe_length(run: BenchRun) -> str:
    """Return in words how long each row of a run was measured, and the warm-up before."""
    rounds = f" in {run.rounds} rounds" if run.rounds > 1 else ""
    if run.window_s is not None:
        length = f"windows of {run.window_s:g} s, {run.rounds} at most (tier {run.tier})"
    elif run.iterations is not None:
        length = f"{run.iterations} runs a row{rounds}"
    elif run.queries is not None:
        length = f"at least {run.queries} runs and {run.time_s:g} s a row{rounds} (tier {run.tier})"
    else:
        length = f"{run.time_s:g} s a row{rounds}"
    return f"{length}, after a warm-up of {run.warmup_runs} runs or more"
