"""Statistics of latencies: percentiles, the early-stopping estimate, and the histogram."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bench.figures import figures, slow_runs


def test_percentiles_of_a_known_list() -> None:
    # 1 to 101 ms: the p-th percentile is p + 1, whatever the interpolation
    found = figures([ms * 1_000_000 for ms in reversed(range(1, 102))])
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == (51.0, 91.0, 100.0)
    assert (found.mean_ms, found.min_ms) == (51.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=50))
def test_figures_lie_between_the_extremes_and_in_order(walls) -> None:
    found = figures(walls)
    ordered = [found.min_ms, found.p50_ms, found.p90_ms, found.p99_ms, max(walls) / 1e6]
    assert np.all(np.diff(ordered) >= -1e-9 * ordered[-1])
    assert found.mean_ms == pytest.approx(sum(walls) / len(walls) / 1e6)
    assert found.p50_ms == pytest.approx(np.median(np.array(walls) / 1e6))


@pytest.mark.parametrize(
    ("runs", "slow"),
    [(1, 0), (63, 0), (64, 1), (80, 1), (81, 2), (126, 4), (127, 5), (196, 9), (197, 10)],
)
def test_early_stopping_as_in_the_mlperf_rules(runs, slow) -> None:
    assert slow_runs(runs) == slow


@given(st.integers(1, 400))
def test_early_stopping_is_the_binomial_bound(runs) -> None:
    """P(Binomial(runs, 1/10) <= t) in fractions: at most 1 % for t, above it for t + 1."""
    ten = 10**runs

    def at_most(t: int) -> Fraction:
        return Fraction(sum(comb(runs, k) * 9 ** (runs - k) for k in range(t + 1)), ten)

    slow = slow_runs(runs)
    assert slow == 0 or at_most(slow) <= Fraction(1, 100)
    assert at_most(slow + 1) > Fraction(1, 100)


def test_early_stopping_of_many_runs_is_near_the_p90() -> None:
    assert slow_runs(1_000_000) == pytest.approx(100_000, rel=0.01)


def test_the_estimate_leaves_out_the_slowest() -> None:
    walls = [ms * 1_000_000 for ms in range(1, 128)]
    assert figures(walls).p90_estimate_ms == 127 - 4  # the fifth slowest
    assert figures(walls[:63]).p90_estimate_ms is None


@given(st.lists(st.integers(1, 10**10), min_size=1, max_size=200))
def test_the_histogram_counts_every_run_once(walls) -> None:
    found = figures(walls)
    shown = found.histogram
    assert sum(shown.counts) == len(walls)
    assert shown.low_ms == found.min_ms
    end_ms = shown.low_ms + shown.width_ms * (len(shown.counts) - 1)
    above = np.count_nonzero(np.array(walls) / 1e6 > end_ms * (1 + 1e-9))
    assert shown.counts[-1] >= above


def test_the_histogram_of_known_times() -> None:
    # the p99 of these is 31, 30 bins of one millisecond above 1, and one run beyond
    walls = [*[1] * 50, *[2] * 40, *[31] * 14, 500]
    shown = figures([ms * 1_000_000 for ms in walls]).histogram
    assert shown.width_ms == pytest.approx(1.0)
    assert shown.counts[:2] == (50, 40)
    assert shown.counts[-1] == 15
