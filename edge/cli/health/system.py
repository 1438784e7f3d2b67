"""Settings of the machine that slow inference down or make times vary. They are read and reported, never changed."""

import os
from collections.abc import Mapping
from pathlib import Path

from edge.cli.health.power_mode import power_hints
from runtimes.threads import cpu_quota

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def system_hints(root: Path, environment: Mapping[str, str], load: float, cores: int) -> list[str]:
    """Return a line for each setting worth knowing; `root` holds /etc, /proc, /sys and /var.

    load: processes that wanted a core over the last minute; cores: those this process may be scheduled on.
    """
    hints = (*power_hints(root), _quota(root, cores), _spinning(environment, load, cores))
    return [hint for hint in hints if hint]


def schedulable_cores() -> int:
    """Return the cores in this process's affinity mask, without the CPU quota."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path, cores: int) -> str:
    quota = cpu_quota(root / "proc/self/cgroup", root / "sys/fs/cgroup")
    if quota is None or quota >= cores:
        return ""
    return (
        f"CPU quota: {quota:g} of {cores} cores (cgroup); threads beyond it are stopped for the rest of each period."
        f" Keep --threads at {max(1, int(quota))} or below, or raise it (docker run --cpus)"
    )


def _spinning(environment: Mapping[str, str], load: float, cores: int) -> str:
    if load <= cores or any(environment.get(name) for name in WAITING):
        return ""
    return (
        f"load average {load:.1f} on {cores} cores: OpenMP's threads (ncnn) spin while they wait for each other. Leave"
        " --threads out, and ncnn takes the free cores; with a fixed number: export OMP_WAIT_POLICY=PASSIVE"
    )
