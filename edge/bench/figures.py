"""Statistics of latencies: percentiles, MLPerf's early-stopping estimate of the p90, and a histogram."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta

from runtimes.record import NotNegative, Positive, Record, Size

PERCENTILE, CONFIDENCE = 0.9, 0.99
BINS = 30


class Histogram(Record, frozen=True, kw_only=True):
    """Runs by time: equal bins of `width_ms` from `low_ms` on; the last of `counts` has all above the p99."""

    low_ms: NotNegative
    width_ms: Positive
    counts: Annotated[tuple[Size, ...], Meta(min_length=2, max_length=1000)]


class Figures(Record, frozen=True, kw_only=True):
    """Statistics of a list of times, in milliseconds; p90_estimate_ms: see `estimate_p90`."""

    p10_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    min_ms: float
    p90_estimate_ms: float | None
    histogram: Histogram


def figures(wall_ns: Sequence[int]) -> Figures:
    """Return the figures of wall times in nanoseconds; percentiles as numpy interpolates them.

    The p99 of fewer than a hundred runs is close to their maximum; see `BenchRow.runs`.
    """
    ms = np.sort(np.asarray(wall_ns, np.float64) / 1e6)
    p10, p50, p90, p99 = (float(value) for value in np.percentile(ms, (10, 50, 90, 99)))
    slow = slow_runs(len(ms))
    return Figures(
        p10_ms=p10,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        mean_ms=float(ms.mean()),
        min_ms=float(ms[0]),
        p90_estimate_ms=float(ms[-slow]) if slow else None,
        histogram=_histogram(ms, p99),
    )


def slow_runs(runs: int) -> int:
    """Return t of MLPerf's early stopping for the 90th percentile at 99 % confidence; 0 for fewer than 64 runs.

    The t-th slowest of `runs` is an estimate that the true p90 exceeds with a probability of at most 1 %: t is the
    largest number with P(Binomial(runs, 0.1) <= t) <= 0.01. MLPerf Inference rules, appendix "Early Stopping
    Criterion", with tolerance 0: the t - 1 slowest are left out, and the slowest of the rest is reported.
    """
    over = np.arange(1.0, runs + 1)
    odds = np.log(1 - PERCENTILE) - np.log(PERCENTILE)
    # log P(X = 0), then log P(X = k) / P(X = k - 1): no factor under- or overflows
    steps = np.log((runs + 1 - over) / over) + odds
    logs = np.concatenate([[0.0], np.cumsum(steps)]) + runs * np.log(PERCENTILE)
    likely = np.cumsum(np.exp(logs))
    return max(int(np.count_nonzero(likely <= 1 - CONFIDENCE)) - 1, 0)


def _histogram(ms: "np.ndarray[tuple[int], np.dtype[np.float64]]", p99: float) -> Histogram:
    """Return the histogram of sorted times."""
    low = float(ms[0])
    width = max((p99 - low) / BINS, 1e-6)
    at = np.minimum((ms - low) / width, BINS).astype(np.int64)
    counts = np.bincount(at, minlength=BINS + 1)
    return Histogram(low_ms=low, width_ms=width, counts=tuple(map(int, counts)))
