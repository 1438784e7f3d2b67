"""Sustained benchmark: each row in windows of half a minute, one row after the other, until its times settle.

A board that gets warm lowers its clocks: the first seconds are faster than what it keeps up. Rows do not take turns, or
each would be measured at the temperature of all; so there is no speedup between them.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from devices.detect import detect_machine
from edge.bench.conditions import read_conditions
from edge.bench.figures import figures
from edge.bench.limits.floor import with_floors
from edge.bench.limits.record import load_limits
from edge.bench.measure import LONGEST_S, WARMUP_S, Case, open_workers, quiet
from edge.bench.process import Worker
from edge.bench.record import BenchRow, BenchRun
from edge.bench.rows import make_row, make_run
from edge.bench.worker import Timed
from runtimes.errors import DeviceLostError, InputError

# A row is steady where its windows' medians change by less than this a minute, over the last so many windows.
STEADY_CHANGE, STEADY_WINDOWS = 0.01, 4
# Heat of a phone or a small board rises for minutes.
LEAST_WINDOWS = 10


@dataclass(frozen=True, slots=True)
class Sustained:
    """Duration: windows of `window_s` until steady, at least LEAST_WINDOWS, `minutes` at most; first `burst_s` cold."""

    minutes: float = 30.0
    window_s: float = 30.0
    burst_s: float = 10.0
    warmup_runs: int = 10

    def __post_init__(self) -> None:
        if not (0 < self.minutes <= LONGEST_S / 60 and self.window_s > 0 and self.burst_s > 0):
            raise InputError(
                f"a sustained benchmark needs minutes above 0 (up to {LONGEST_S / 60:.0e}), not {self.minutes}"
            )

    @property
    def most_windows(self) -> int:
        """The windows of a row that does not settle."""
        return max(1, round(self.minutes * 60 / self.window_s))


def bench_sustained(
    cases: Sequence[Case], plan: Sustained, advance: Callable[[str], object] = quiet
) -> BenchRun:
    """Load all cases and measure them; `advance` is called after each window, and twice a row before them."""
    limits = load_limits(detect_machine())
    with open_workers(cases) as workers:
        return with_floors(measure_sustained(workers, plan, advance), limits)


def measure_sustained(
    workers: Sequence[Worker], plan: Sustained, advance: Callable[[str], object] = quiet
) -> BenchRun:
    """Warm up and time the first seconds of each worker, then run one after the other until it is steady.

    Where a board disappears, the run has the windows measured before, and `partial` says why; before the first one
    that is DeviceLostError.
    """
    before = read_conditions()
    warm: list[Timed] = []
    cold: list[Timed] = []
    for worker in workers:
        warm.append(worker.burst(WARMUP_S, plan.warmup_runs))
        advance(f"warm-up {worker.artifact.name}")
    for worker in workers:
        cold.append(worker.burst(plan.burst_s, 1))
        advance(f"first {plan.burst_s:g} s {worker.artifact.name}")
    rows: list[BenchRow] = []
    lost = ""
    try:
        for worker, heated, first in zip(workers, warm, cold, strict=True):
            row, lost = _settle(worker, plan, heated, first, advance)
            rows.append(row)
            if lost:
                break
    except DeviceLostError as error:
        if not rows:
            raise
        lost = str(error)
    most = max(len(row.round_p50_ms) for row in rows)
    run = make_run(
        [worker.artifact for worker in workers],
        rows,
        rounds=most,
        time_s=most * plan.window_s,
        warmup_runs=plan.warmup_runs,
        before=before,
    )
    return msgspec.structs.replace(run, tier="sustained", window_s=plan.window_s, partial=lost)


def is_steady(window_p50_ms: Sequence[float], window_s: float) -> bool | None:
    """Return whether the last windows' medians change by less than 1 % a minute; None for fewer than four.

    The change is the slope of the line through them by least squares, relative to their median.
    """
    last = window_p50_ms[-STEADY_WINDOWS:]
    if len(last) < STEADY_WINDOWS:
        return None
    minutes = np.arange(len(last)) * window_s / 60
    slope = float(np.polyfit(minutes, last, 1)[0])
    return abs(slope) < STEADY_CHANGE * statistics.median(last)


def _settle(
    worker: Worker, plan: Sustained, warm: Timed, cold: Timed, advance: Callable[[str], object]
) -> tuple[BenchRow, str]:
    """Return the row of one worker, and why it ended early, "" where it did not.

    Its figures are of the last windows, which a steady row settled in. Raises DeviceLostError before the first window.
    """
    windows: list[Timed] = []
    medians: list[float] = []
    least = min(LEAST_WINDOWS, plan.most_windows)
    lost = ""
    try:
        while len(medians) < plan.most_windows:
            windows = [*windows[1 - STEADY_WINDOWS :], worker.burst(plan.window_s, 1)]
            medians.append(figures(windows[-1].wall_ns).p50_ms)
            advance(f"window {len(medians)} {worker.artifact.name}")
            if len(medians) >= least and is_steady(medians, plan.window_s):
                break
    except DeviceLostError as error:
        if not windows:
            raise
        lost = str(error)
    row = msgspec.structs.replace(
        make_row(worker, warm, windows),
        round_p50_ms=tuple(medians),
        burst_p50_ms=figures(cold.wall_ns).p50_ms,
        steady=None if lost else is_steady(medians, plan.window_s),
    )
    return row, lost
