"""/proc/cpuinfo of x86 and ARM: vendor and model, core types, instruction sets."""

import re
from dataclasses import dataclass

from devices.parse.cores import ARM_CORES

# Flags of /proc/cpuinfo that decide speed or arithmetic; ARM: asimdhp is fp16 arithmetic, asimddp int8 dot products.
ISA = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "vfpv4", "asimd", "fphp", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
_MOST_DIGITS = 9  # of a number in a text: more is garbage


@dataclass(frozen=True, slots=True)
class CpuInfo:
    """What /proc/cpuinfo says; "", None or empty where it says nothing.

    processors: numbers of the logical CPUs. vendor, family, model, brand: of x86 (`vendor_id`, `cpu family`, `model`,
    `model name`). cores: of ARM, the MIDR (a key of `ARM_CORES`, or of no known core) of each listed processor by its
    number. flags: what all cores have. hardware: Android's and older kernels' name of the SoC. board: a Raspberry
    Pi's `Model`.
    """

    processors: tuple[int, ...] = ()
    vendor: str = ""
    family: int | None = None
    model: int | None = None
    brand: str = ""
    cores: tuple[tuple[int, str], ...] = ()
    flags: frozenset[str] = frozenset()
    hardware: str = ""
    board: str = ""


def parse_cpuinfo(text: str) -> CpuInfo:
    """Return what the text of /proc/cpuinfo says; raises nothing."""
    pairs = fields(text)
    first = dict(reversed(pairs))
    numbers = (number(value) for key, value in pairs if key == "processor")
    return CpuInfo(
        processors=tuple(sorted({each for each in numbers if each is not None})),
        vendor=first.get("vendor_id", ""),
        family=number(first.get("cpu family", "")),
        model=number(first.get("model", "")),
        brand="" if "CPU part" in first else first.get("model name", ""),
        cores=tuple(_arm_cores(pairs)),
        flags=_common_flags(pairs),
        hardware=first.get("Hardware", ""),
        board=first.get("Model", ""),
    )


def isa_flags(cpuinfo: str) -> tuple[str, ...]:
    """Return the entries of `ISA` that every core in /proc/cpuinfo has: x86 `flags`, ARM `Features`."""
    common = _common_flags(fields(cpuinfo))
    return tuple(name for name in ISA if name in common)


def cpu_model(cpuinfo: str, board: str) -> str:
    """Return the CPU's name; for ARM the board's name and its core types, as `Raspberry Pi 5 (4x Cortex-A76)`.

    tuned.json has entries by this name: it stays what it is for a CPU that has one.
    """
    pairs = fields(cpuinfo)
    values = dict(reversed(pairs))  # the first of each key
    if "model name" in values and "CPU part" not in values:
        return values["model name"]
    implementers = [value.lower() for key, value in pairs if key == "CPU implementer"]
    parts = [value.lower() for key, value in pairs if key == "CPU part"]
    counts: dict[str, int] = {}
    for implementer, part in zip(implementers, parts, strict=False):
        core = core_name(f"{implementer}/{part}")
        counts[core] = counts.get(core, 0) + 1
    cores = " + ".join(f"{count}x {core}" for core, count in counts.items())
    name = board or values.get("Hardware", values.get("Model", ""))
    return f"{name} ({cores})" if name and cores else name or cores


def core_name(midr: str) -> str:
    """Return the core's name; of an unknown one its MIDR."""
    known = ARM_CORES.get(midr)
    return known.name if known else midr


def fields(text: str) -> list[tuple[str, str]]:
    """Return the `key : value` lines, in order."""
    pairs = (line.partition(":") for line in text.splitlines())
    return [(key.strip(), value.strip()) for key, colon, value in pairs if colon]


def number(text: str) -> int | None:
    """Return a small decimal number; None for anything else."""
    plain = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    return int(text) if plain else None


def _common_flags(pairs: list[tuple[str, str]]) -> frozenset[str]:
    lists = [frozenset(value.split()) for key, value in pairs if key in {"flags", "Features"}]
    return frozenset.intersection(*lists) if lists else frozenset()


def _arm_cores(pairs: list[tuple[str, str]]) -> list[tuple[int, str]]:
    """Return number and MIDR of each processor whose implementer and part are listed, in order."""
    found: dict[int, str] = {}
    processor, implementer = -1, ""
    for key, value in pairs:
        if key == "processor":
            numbered = number(value)
            processor = processor if numbered is None else numbered
        elif key == "CPU implementer":
            implementer = value
        elif key == "CPU part" and (midr := _midr(implementer, value)):
            # texts that were cut together may lack the numbers
            found[processor if processor not in found and processor >= 0 else len(found)] = midr
    return sorted(found.items())


def _midr(implementer: str, part: str) -> str:
    """Return `0x41/0xd0b` of two hexadecimal numbers, "" where either is none."""
    values = [re.fullmatch(r"0x([0-9a-f]{1,8})", each.lower()) for each in (implementer, part)]
    if not all(values):
        return ""
    first, second = (int(each[1], 16) for each in values if each)
    return f"0x{first:02x}/0x{second:03x}"
