"""Thread counts: the cores this process may use, not the cores the machine has.

A container's CPU quota and a taskset mask both limit a process; engines respect neither by themselves.
"""

import math
import os
import sys
from pathlib import Path

# Pose networks scale to about four threads and no further (ncnn's own tables: 2.9x at 4, 3.2x at 8 on a 12-core Orin).
DEFAULT_THREADS = 4
# More than any board has; engines that are asked for thousands hang.
MAX_THREADS = 256


def resolve_threads(threads: int | None) -> int:
    """Return the thread count to set on an engine: `threads`, or min(4, allowed cores) for None."""
    return min(DEFAULT_THREADS, allowed_cores()) if threads is None else threads


def allowed_cores() -> int:
    """Return the number of cores this process may use: its affinity mask, capped by its cgroup's CPU quota."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return cores_within(cores, cpu_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")))


def cores_within(cores: int, quota: float | None) -> int:
    """Return the number of `cores` within a CPU quota, itself in cores; at least one; None: no limit.

    Rounded down: the kernel stops spinning threads beyond the quota for the rest of each period.
    """
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def cpu_quota(membership: Path, mount: Path) -> float | None:
    """Return the CPU quota in cores, the tightest of this process's cgroup and its parents; None: no limit.

    `membership` is /proc/self/cgroup, `mount` the hierarchy's mount point (version 2, or 1 with `cpu` below it).
    """
    quotas = [
        quota
        for group in cgroup_paths(membership, mount, "cpu")
        for quota in (_quota_v2(group), _quota_v1(group))
        if quota is not None
    ]
    return min(quotas, default=None)


def cgroup_paths(membership: Path, mount: Path, controller: str) -> list[Path]:
    """Return the directories that may limit this process for `controller`, its own first, the root last."""
    paths: list[Path] = []
    for line in read_text(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        base = mount / controller if controllers else mount
        # inside a container the path may be the host's; directories that do not exist are read as empty
        parts = [part for part in group.split("/") if part not in {"", ".."}]
        paths += [base.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return paths or [mount, mount / controller]


def read_text(path: Path) -> str:
    """Return a small system file's text, stripped of NULs and blanks, "" where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0 \t\r\n")
    except OSError:
        return ""


def _quota_v2(group: Path) -> float | None:
    fields = read_text(group / "cpu.max").split()
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]):
        return int(fields[0]) / int(fields[1])
    return None


def _quota_v1(group: Path) -> float | None:
    quota = read_text(group / "cpu.cfs_quota_us")
    period = read_text(group / "cpu.cfs_period_us")
    # -1 means no limit, and is no digit string
    if quota.isdigit() and period.isdigit() and int(period):
        return int(quota) / int(period)
    return None
