"""Tiers and iterations: the runs that they ask for, and options that exclude each other."""

import math

import pytest

from edge.bench import sustained
from edge.bench.measure import Plan, bench, make_cases, open_workers
from edge.bench.sustained import LEAST_WINDOWS, Sustained, bench_sustained, is_steady
from edge.bench.tiers import describe_length, plan_of
from runtimes.errors import InputError

OWN = Plan(rounds=4, time_s=3.0, warmup_runs=7)


@pytest.mark.parametrize(
    ("tier", "queries", "time_s"), [("rapid", 64, 6), ("quick", 128, 10), ("normal", 1024, 60)]
)
def test_tiers_are_those_of_mlperf_mobile(tier, queries, time_s) -> None:
    plan = plan_of(OWN, tier)
    assert (plan.name, plan.queries, plan.time_s, plan.most_s) == (tier, queries, time_s, 600)
    assert (plan.rounds, plan.warmup_runs) == (4, 7)


def test_without_a_tier_the_plan_stays() -> None:
    assert plan_of(OWN) == OWN


def test_sustained_has_windows_of_half_a_minute_or_what_there_is() -> None:
    plan = plan_of(OWN, "sustained", minutes=12)
    assert plan == Sustained(minutes=12, window_s=30, burst_s=10, warmup_runs=7)
    assert plan.most_windows == 24
    short = plan_of(OWN, "sustained", minutes=0.1)
    assert (short.window_s, short.burst_s, short.most_windows) == (6, 6, 1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"minutes": 1.0}, "--minutes is the limit of --tier sustained"),
        ({"minutes": 1.0, "tier": "quick"}, "--minutes is the limit"),
        ({"iterations": 5, "tier": "quick"}, "both set the runs"),
        ({"minutes": math.nan, "tier": "sustained"}, "minutes above 0"),
        ({"minutes": math.inf, "tier": "sustained"}, "minutes above 0"),
    ],
)
def test_options_that_exclude_each_other(wrong, said) -> None:
    with pytest.raises(InputError, match=said):
        plan_of(OWN, **wrong)


@pytest.fixture(scope="module")
def cases(small_artifact, tmp_path_factory):
    return make_cases([small_artifact(tmp_path_factory.mktemp("t") / "small")], [1], ["f32"])


def test_runs_are_those_asked_for(cases) -> None:
    exact = bench(cases, plan_of(Plan(rounds=3, warmup_runs=1), iterations=7))
    assert (exact.rows[0].runs, exact.rounds, exact.iterations) == (7, 3, 7)
    assert "7 runs a row in 3 rounds" in describe_length(exact)
    few = bench(cases, plan_of(Plan(rounds=3, warmup_runs=1), iterations=2))
    assert (few.rows[0].runs, few.rounds) == (2, 2)


def test_queries_count_where_the_time_is_over_and_the_limit_ends_them(cases) -> None:
    least = bench(cases, Plan(rounds=2, time_s=1e-6, warmup_runs=1, queries=31, name="x"))
    assert least.rows[0].runs == 31
    assert (least.tier, least.queries) == ("x", 31)
    cut = Plan(rounds=2, time_s=1e-6, warmup_runs=1, queries=10**6, most_s=0.002)
    assert 2 <= bench(cases, cut).rows[0].runs < 10**6


def test_steady_is_a_slope_of_less_than_a_percent_a_minute() -> None:
    """Windows of half a minute: a step of 0.4 % is a slope of 0.8 % a minute, of 0.6 % one of 1.2 %."""
    assert is_steady([10.0, 10.04, 10.08, 10.12], 30) is True
    assert is_steady([10.0, 10.06, 10.12, 10.18], 30) is False
    assert is_steady([10.18, 10.12, 10.06, 10.0], 30) is False
    assert is_steady([5.0, 8.0, 10.0, 10.0, 10.0, 10.0], 30) is True  # only the last four count
    assert is_steady([10.0, 10.0, 10.0], 30) is None


def test_a_row_that_does_not_settle_ends_at_its_limit(cases, monkeypatch) -> None:
    plan = Sustained(minutes=12 * 0.002 / 60, window_s=0.002, burst_s=0.002, warmup_runs=1)
    assert plan.most_windows == 12
    monkeypatch.setattr(sustained, "STEADY_CHANGE", 0.0)
    said: list[str] = []
    with open_workers(cases) as workers:
        run = sustained.measure_sustained(workers, plan, said.append)
        monkeypatch.setattr(sustained, "STEADY_CHANGE", math.inf)
        settled = sustained.measure_sustained(workers, plan)
    (row,) = run.rows
    assert (len(row.round_p50_ms), row.steady, run.rounds) == (12, False, 12)
    assert row.burst_p50_ms > 0
    assert row.speedup is None
    assert said[-1] == "window 12 small"
    assert (len(settled.rows[0].round_p50_ms), settled.rows[0].steady) == (LEAST_WINDOWS, True)
    assert (run.tier, run.window_s) == ("sustained", 0.002)


def test_two_rows_one_after_the_other(cases) -> None:
    said: list[str] = []
    plan = Sustained(minutes=0.002 / 60, window_s=0.002, burst_s=0.002, warmup_runs=1)
    run = bench_sustained([*cases, *cases], plan, said.append)
    assert [text.split()[0] for text in said] == ["warm-up"] * 2 + ["first"] * 2 + ["window"] * 2
    assert [row.steady for row in run.rows] == [None, None]
