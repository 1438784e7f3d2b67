"""Detection of the machine: architecture, CPU, instruction sets, cores, memory, profile; from /proc and /sys.

Needs no root. Any file may be missing (containers, emulators, phones): what cannot be read stays empty, and nothing
is raised.
"""

import os
import platform
from pathlib import Path

from devices.identity import detect_identity
from devices.machine import Machine
from devices.parse.cpuinfo import cpu_model, fields, isa_flags
from runtimes.threads import allowed_cores, cgroup_paths, read_text


def detect_machine(root: Path = Path("/")) -> Machine:
    """Return the facts of this machine; `root` holds /proc and /sys. Raises nothing."""
    cpuinfo = read_text(root / "proc/cpuinfo")
    return Machine(
        arch=platform.machine(),
        cpu_model=cpu_model(cpuinfo, read_text(root / "proc/device-tree/model")),
        isa=isa_flags(cpuinfo),
        logical_cores=os.cpu_count() or 1,
        allowed_cores=allowed_cores(),
        memory_bytes=memory_bytes(root),
        profile=detect_identity(root).profile.id,
    )


def memory_bytes(root: Path) -> int | None:
    """Return the memory this process may use: the machine's, capped by its cgroup and the parents; None: unknown."""
    limits = [
        int(value.split()[0]) * 1024
        for key, value in fields(read_text(root / "proc/meminfo"))
        if key == "MemTotal" and value.split()[:1] and value.split()[0].isdigit()
    ]
    membership, mount = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for group in cgroup_paths(membership, mount, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read_text(group / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits, default=None)
