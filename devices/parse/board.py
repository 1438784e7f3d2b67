"""Names of boards and SoCs: device tree, Qualcomm's soc_id, Android's properties; lists of CPU numbers."""

import re

_MOST_CPUS = 4096


def parse_compatible(text: str) -> tuple[str, ...]:
    """Return the entries of /proc/device-tree/compatible, the board's own first; they are separated by NUL."""
    entries = (each.strip() for each in re.split(r"[\0\n]", text))
    return tuple(each for each in entries if re.fullmatch(r"[\w.+-]+,[\w.+,-]+", each, re.ASCII))


def parse_soc_id(text: str) -> int | None:
    """Return the number in /sys/devices/soc0/soc_id; None where it is none (other vendors write names)."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*", text, re.ASCII)
    return int(found[1]) if found else None


def parse_getprop(text: str) -> dict[str, str]:
    """Return Android's properties, from lines `[ro.soc.model]: [SM8550]` as `getprop` prints them."""
    found = re.findall(r"^\[([^\]\r\n]+)\]: \[([^\r\n]*)\]\r?$", text, re.MULTILINE)
    return {key: value for key, value in found if value}


def parse_cpu_list(text: str) -> tuple[int, ...]:
    """Return the CPU numbers of a kernel's list, as `0-3,8`; () for what is none."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part.strip(), re.ASCII)
        if not found:
            return ()
        first, last = int(found[1]), int(found[2] or found[1])
        if last >= _MOST_CPUS:
            return ()
        cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))
