"""CPU topology: clusters of big and little cores, SMT siblings, within affinity and quota; thread candidates.

Reads /proc/cpuinfo and /sys/devices/system/cpu, without root; a machine that shows neither is one cluster.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from devices.parse.board import parse_cpu_list
from devices.parse.cores import ARM_CORES
from devices.parse.cpuinfo import core_name, number, parse_cpuinfo
from devices.profiles.profile import Threads
from runtimes.threads import DEFAULT_THREADS, MAX_THREADS, allowed_cores, read_text

CPUS = "sys/devices/system/cpu"
# Cores whose capacity or clock is at least this share of the fastest core's are of its kind: boost bins differ by less.
_SAME_KIND = 0.75


@dataclass(frozen=True, slots=True)
class Cluster:
    """Allowed cores of one kind.

    cpus: numbers of logical CPUs. core: the core type, "" where unknown. cores: physical ones. max_ghz: the highest
    clock of any, None where the system does not show it (containers, virtual machines).
    """

    core: str
    role: Literal["big", "little"]
    cpus: tuple[int, ...]
    cores: int
    max_ghz: float | None


@dataclass(frozen=True, slots=True)
class Topology:
    """Clusters, the big ones first; by: the file that distinguishes big and little cores, "" where all are alike.

    usable: cores within affinity and cgroup quota.
    """

    clusters: tuple[Cluster, ...]
    by: str
    usable: int

    @property
    def big_cores(self) -> int:
        """Physical big cores, within the quota; at least one."""
        found = sum(each.cores for each in self.clusters if each.role == "big")
        return max(1, min(found or self.usable, self.usable))


def read_topology(root: Path = Path("/")) -> Topology:
    """Return the topology of this process's machine, or of the device whose /proc and /sys are below `root`.

    Affinity and quota count for the machine itself alone. Raises nothing.
    """
    here = root == Path("/")
    online = parse_cpu_list(read_text(root / CPUS / "online"))
    cpuinfo = parse_cpuinfo(read_text(root / "proc/cpuinfo"))
    cores = dict(cpuinfo.cores)
    if here and sys.platform == "linux":
        cpus = tuple(sorted(os.sched_getaffinity(0)))
    else:
        cpus = online or cpuinfo.processors or tuple(range((os.cpu_count() or 1) if here else 1))
    little, by = _little(root, cpus, cores)
    kinds: dict[tuple[bool, str], list[int]] = {}
    for cpu in cpus:
        kinds.setdefault((cpu in little, cores.get(cpu, "")), []).append(cpu)
    clusters = tuple(
        _cluster(root, tuple(found), midr, little=is_little)
        for (is_little, midr), found in sorted(
            kinds.items(), key=lambda kind: (kind[0][0], -(_fastest(root, kind[1]) or 0))
        )
    )
    return Topology(clusters, by, min(allowed_cores(), len(cpus)) if here else len(cpus))


def thread_candidates(topology: Topology, threads: Threads) -> tuple[int, ...]:
    """Return thread counts worth measuring: the profile's, and one, two, four and all of the big cores.

    No count is larger than the big cores this process may use: OpenMP waits for the slowest core after every layer.
    """
    most = min(topology.big_cores, MAX_THREADS)
    wanted = {1, 2, DEFAULT_THREADS, most, *threads.candidates}
    return tuple(sorted(count for count in wanted if count <= most))


def best_threads(topology: Topology, threads: Threads) -> int:
    """Return the count to begin with: the profile's, or four, within the big cores this process may use."""
    return min(threads.best or DEFAULT_THREADS, topology.big_cores)


def _little(
    root: Path, cpus: tuple[int, ...], cores: Mapping[int, str]
) -> tuple[frozenset[int], str]:
    """Return the little cores of `cpus`, and the file that identifies them."""
    atom = parse_cpu_list(read_text(root / "sys/devices/cpu_atom/cpus"))
    performance = parse_cpu_list(read_text(root / "sys/devices/cpu_core/cpus"))
    if atom and performance:
        return frozenset(atom) & frozenset(cpus), "/sys/devices/cpu_atom/cpus"
    if not cores:  # no ARM: boost clocks differ between x86 cores of one kind
        return frozenset(), ""
    if all(cores.get(cpu) in ARM_CORES for cpu in cpus):
        found = frozenset(cpu for cpu in cpus if ARM_CORES[cores[cpu]].role == "little")
        mixed = 0 < len(found) < len(cpus)
        return (found, "/proc/cpuinfo") if mixed else (frozenset(), "")
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        values = {cpu: number(read_text(root / CPUS / f"cpu{cpu}" / name)) for cpu in cpus}
        known = {cpu: value for cpu, value in values.items() if value}
        if len(known) == len(cpus):
            most = max(known.values())
            slow = frozenset(cpu for cpu, value in known.items() if value < _SAME_KIND * most)
            return slow, f"/{CPUS}/cpu*/{name}" if slow else ""
    return frozenset(), ""


def _cluster(root: Path, cpus: tuple[int, ...], midr: str, *, little: bool) -> Cluster:
    siblings = {
        parse_cpu_list(read_text(root / CPUS / f"cpu{cpu}/topology/thread_siblings_list")) or (cpu,)
        for cpu in cpus
    }
    fastest = _fastest(root, cpus)
    return Cluster(
        core=core_name(midr) if midr else "",
        role="little" if little else "big",
        cpus=cpus,
        cores=len(siblings),
        max_ghz=fastest / 1e6 if fastest else None,
    )


def _fastest(root: Path, cpus: tuple[int, ...] | list[int]) -> int | None:
    """Return the highest clock in kHz."""
    found = [number(read_text(root / CPUS / f"cpu{cpu}/cpufreq/cpuinfo_max_freq")) for cpu in cpus]
    return max((value for value in found if value), default=None)
