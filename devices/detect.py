"""Detection of the machine: architecture, CPU, instruction sets, cores, memory. Reads /proc and /sys, without root.

Any file may be missing (containers, emulators, phones): what cannot be read stays empty, and nothing is raised.
"""

import os
import platform
from pathlib import Path

from devices.profile import Machine
from runtimes.threads import allowed_cores, cgroup_paths, read_text

# Flags of /proc/cpuinfo that decide speed or arithmetic; ARM: asimdhp is fp16 arithmetic, asimddp int8 dot products.
ISA = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "vfpv4", "asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)

# (implementer, part) of /proc/cpuinfo -> core, from Arm's and the vendors' manuals as collected in util-linux's lscpu
ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0d"): "Cortex-A77",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x41", "0xd82"): "Cortex-X4",
    ("0x4e", "0x004"): "Carmel",
    ("0x51", "0x001"): "Oryon",
    ("0x51", "0x803"): "Kryo Silver (Cortex-A55)",
    ("0x51", "0x805"): "Kryo Silver (Cortex-A55)",
}


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
    )


def isa_flags(cpuinfo: str) -> tuple[str, ...]:
    """Return the entries of `ISA` that every core in /proc/cpuinfo has: x86 `flags`, ARM `Features`."""
    lists = [set(value.split()) for key, value in _fields(cpuinfo) if key in {"flags", "Features"}]
    common = set.intersection(*lists) if lists else set()
    return tuple(name for name in ISA if name in common)


def cpu_model(cpuinfo: str, board: str) -> str:
    """Return the CPU's name; for ARM the board's name and its core types, as `Raspberry Pi 5 (4x Cortex-A76)`."""
    fields = _fields(cpuinfo)
    values = dict(reversed(fields))  # the first of each key
    if "model name" in values and "CPU part" not in values:
        return values["model name"]
    implementers = [value.lower() for key, value in fields if key == "CPU implementer"]
    parts = [value.lower() for key, value in fields if key == "CPU part"]
    counts: dict[str, int] = {}
    for implementer, part in zip(implementers, parts, strict=False):
        core = ARM_CORES.get((implementer, part), f"{implementer}/{part}")
        counts[core] = counts.get(core, 0) + 1
    cores = " + ".join(f"{count}x {core}" for core, count in counts.items())
    name = board or values.get("Hardware", values.get("Model", ""))
    return f"{name} ({cores})" if name and cores else name or cores


def memory_bytes(root: Path) -> int | None:
    """Return the memory this process may use: the machine's, capped by its cgroup and the parents; None: unknown."""
    limits = [
        int(value.split()[0]) * 1024
        for key, value in _fields(read_text(root / "proc/meminfo"))
        if key == "MemTotal" and value.split()[:1] and value.split()[0].isdigit()
    ]
    membership, mount = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for group in cgroup_paths(membership, mount, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = read_text(group / name)
            if text.isdigit():
                limits.append(int(text))
    return min(limits, default=None)


def _fields(text: str) -> list[tuple[str, str]]:
    """Return the `key : value` lines, in order."""
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, colon, value in pairs if colon]
