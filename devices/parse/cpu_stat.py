"""Time of each CPU since the machine started, from /proc/stat.

`cpu0 user nice system idle iowait irq softirq steal guest guest_nice`, in clock ticks (proc(5)). Linux 2.4 has the
first four columns, 2.6 began with seven; guests' time is in user and nice already.
"""

import re
from dataclasses import dataclass

_LINE = re.compile(r"^cpu(\d{1,5})((?:[ \t]+\d{1,20}){4,})[ \t]*\r?$", re.MULTILINE | re.ASCII)
_IDLE, _IOWAIT, _GUEST = 3, 4, 8  # columns


@dataclass(frozen=True, slots=True)
class CpuTicks:
    """Clock ticks of a CPU. busy: in processes, the kernel, interrupts, and stolen by the host of a virtual machine."""

    busy: int
    idle: int


def parse_cpu_stat(text: str) -> dict[int, CpuTicks]:
    """Return the ticks of each logical CPU by its number; lines that are no such line are left out."""
    found: dict[int, CpuTicks] = {}
    for cpu, columns in _LINE.findall(text):
        ticks = [int(each) for each in columns.split()[:_GUEST]]
        idle = sum(ticks[_IDLE : _IOWAIT + 1])
        found[int(cpu)] = CpuTicks(busy=sum(ticks) - idle, idle=idle)
    return found
