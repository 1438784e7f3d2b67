"""Cores that other processes leave to this one, and the thread count that fits them.

OpenMP's threads wait for each other after every layer. Where one of them has no core, all wait, and spin meanwhile: two
threads on two cores, one of them in use by another process, are slower than one thread.
"""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runtimes.base import RunOptions
from runtimes.threads import read_text, resolve_threads

STAT = Path("/proc/stat")
# Times in /proc/stat come in steps of 10 ms.
WINDOW_S = 0.15
# A count is kept while so much of its last core is free, and raised to where more of it is.
KEEP, RAISE = 0.7, 0.85
# Calls that measure a count, after how many calls of one count all are measured again, and the gain that more need.
TRIALS, RETRY, GAIN = 3, 1000, 0.1
# Variables of OpenMP runtimes: users who set one have chosen for themselves.
OPENMP = ("OMP_", "GOMP_", "KMP_")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Clock readings in seconds: wall; idle, of all cores this process may use; own, CPU time of this process."""

    wall_s: float
    idle_s: float
    own_s: float


def cores_left(before: CpuTimes, after: CpuTimes) -> float:
    """Return how many cores were idle or in use by this process, on average between two readings.

    The rest is other processes' (or, in a virtual machine, other machines').
    """
    wall_s = after.wall_s - before.wall_s
    idle_s = max(0.0, after.idle_s - before.idle_s)
    return (idle_s + after.own_s - before.own_s) / wall_s


def fitting_counts(counts: Sequence[int], current: int, left: float) -> list[int]:
    """Return those of `counts`, ascending, that `left` cores have room for; the lowest where none fits.

    Going up from `current` takes more of a core than staying does, so that the count does not alternate.
    """
    fits = [count for count in counts if left >= count - 1 + (RAISE if count > current else KEEP)]
    return fits or [counts[0]]


@dataclass(slots=True)
class Timed:
    """The shortest call with each thread count, of the first `trials` calls, in seconds.

    Without trials every thread counts as a gain.
    """

    trials: int
    shortest_s: dict[int, float] = field(default_factory=dict)
    calls: dict[int, int] = field(default_factory=dict)

    def add(self, count: int, call_s: float) -> None:
        """Record one call; what was measured is forgotten after RETRY calls, since clocks and neighbours change."""
        self.calls[count] = self.calls.get(count, 0) + 1
        if self.calls[count] <= self.trials:
            self.shortest_s[count] = min(call_s, self.shortest_s.get(count, call_s))
        if self.calls[count] >= RETRY:
            self.calls.clear()
            self.shortest_s.clear()

    def best(self, fits: Sequence[int]) -> int:
        """Return the thread count to use, of `fits`, ascending: one with trials left, else the fastest.

        More threads must be faster by GAIN: light networks lose more by waiting after each layer than they win.
        """
        if not self.trials:
            return fits[-1]
        for count in fits:
            if self.calls.get(count, 0) < self.trials:
                return count
        best = fits[0]
        for count in fits[1:]:
            if self.shortest_s[count] < (1 - GAIN) * self.shortest_s[best]:
                best = count
        return best


def halved(limit: int) -> tuple[int, ...]:
    """Return `limit` and its halves down to one, ascending: 4 gives (1, 2, 4)."""
    counts = [limit]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    return tuple(reversed(counts))


def idle_seconds(stat: str, cores: set[int], tick_s: float) -> float | None:
    """Return the time that `cores` have been idle or waited for a disk since boot; `stat`: text of /proc/stat.

    None where it does not list all of these cores. `tick_s`: its unit.
    """
    rows = {fields[0]: fields for line in stat.splitlines() if (fields := line.split())}
    wanted = [rows.get(f"cpu{core}", []) for core in cores]
    # cpuN user nice system idle iowait ...
    if not wanted or any(len(fields) < 6 for fields in wanted):
        return None
    return tick_s * sum(int(fields[4]) + int(fields[5]) for fields in wanted)


def read_cpu_times() -> CpuTimes | None:
    """Return the clocks now; None where the system does not report them (all but Linux)."""
    if sys.platform != "linux":
        return None
    cores = os.sched_getaffinity(0)
    idle_s = idle_seconds(read_text(STAT), cores, 1 / os.sysconf("SC_CLK_TCK"))
    if idle_s is None:
        return None
    return CpuTimes(time.perf_counter(), idle_s, time.process_time())


def adapts(options: RunOptions, environment: Mapping[str, str]) -> bool:
    """Return whether the thread count is ours to choose: neither `threads` nor a variable of OpenMP sets it."""
    return options.threads is None and not any(name.startswith(OPENMP) for name in environment)


def thread_limit(threads: int | None, environment: Mapping[str, str]) -> int:
    """Return the most threads of a call: `threads`, else OMP_NUM_THREADS, else min(4, allowed cores)."""
    # for nested regions it may be a list; the first number is that of the outermost
    own = environment.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if threads is None and own.isdecimal() and int(own):
        return int(own)
    return resolve_threads(threads)


class FreeThreads:
    """Thread counts, call by call: the fastest of those that fit the cores others leave free, 1 to `limit`.

    The cores are looked at again after WINDOW_S. Where the system does not report what is in use, all count as free.
    Calls of this process that run at the same time share the free cores. trials: calls that measure each count; 0 takes
    the most threads that fit.
    """

    _lock = threading.Lock()
    _in_use = 0  # threads of calls in progress, of all sessions

    def __init__(self, limit: int, trials: int = TRIALS) -> None:
        self._counts = halved(limit)
        self._current = limit
        self._left = float(limit)
        self._last = read_cpu_times()
        self._timed = Timed(trials)

    @contextmanager
    def call(self) -> Iterator[int]:
        """Give the number of threads for one call, which runs within the context and is timed."""
        self._look()
        with FreeThreads._lock:
            left = self._left - FreeThreads._in_use
            fits = fitting_counts(self._counts, self._current, left)
            self._current = fits[-1]
            count = self._timed.best(fits)
            FreeThreads._in_use += count
        start = time.perf_counter()
        try:
            yield count
        finally:
            self._timed.add(count, time.perf_counter() - start)
            with FreeThreads._lock:
                FreeThreads._in_use -= count

    def _look(self) -> None:
        if self._last is None or time.perf_counter() - self._last.wall_s < WINDOW_S:
            return
        now = read_cpu_times()
        if now is not None:
            self._left = cores_left(self._last, now)
        self._last = now
