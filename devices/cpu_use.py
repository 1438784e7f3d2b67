"""Use of the CPUs that this process may run on by other processes, from /proc/stat; not known without it."""

import os
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from devices.parse.cpu_stat import CpuTicks, parse_cpu_stat
from runtimes.threads import read_text

# Counters are whole ticks, of 10 ms mostly: over less time, their rounding is too large a share.
LEAST_TICKS = 20
# A CPU's counters add up to the time that passed; where they are far from it they are not kept, or not this machine's.
_LEAST_SUM, _MOST_SUM = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Counters at one time; ticks: by logical CPU; own_ns: CPU time of this process; now_ns: of a steady clock."""

    ticks: Mapping[int, CpuTicks]
    own_ns: int
    now_ns: int


def read_cpu_use(root: Path = Path("/")) -> CpuUse:
    """Return the counters now, without ticks where `root`/proc/stat cannot be read. Raises nothing."""
    own_ns, now_ns = time.process_time_ns(), time.perf_counter_ns()
    return CpuUse(parse_cpu_stat(read_text(root / "proc/stat")), own_ns, now_ns)


def affinity() -> tuple[int, ...]:
    """Return the logical CPUs that this process may run on."""
    if sys.platform == "linux":
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cpus = tuple(range(os.cpu_count() or 1))
    return cpus


def ticks_per_second() -> int:
    """Return the unit of /proc/stat's counters."""
    return os.sysconf("SC_CLK_TCK")


def others_between(
    before: CpuUse, after: CpuUse, cpus: Collection[int], ticks_per_s: int
) -> float | None:
    """Return the mean number of `cpus` that other processes used between two readings of one process.

    All of its own CPU time is taken to be on `cpus`. None below LEAST_TICKS, and where the counters of any of them are
    missing or do not go with the clock.
    """
    ticks = (after.now_ns - before.now_ns) / 1e9 * ticks_per_s
    if ticks < LEAST_TICKS or not cpus:
        return None
    busy = 0
    for cpu in cpus:
        if cpu not in before.ticks or cpu not in after.ticks:
            return None
        first, last = before.ticks[cpu], after.ticks[cpu]
        used = last.busy - first.busy
        if used < 0 or not _LEAST_SUM <= (used + last.idle - first.idle) / ticks <= _MOST_SUM:
            return None
        busy += used
    own = (after.own_ns - before.own_ns) / 1e9 * ticks_per_s
    return max(0.0, busy - own) / ticks
