"""Temperatures (thermal zones, hwmon), clocks, and reasons of throttling (limits, counters, Raspberry Pi's bits)."""

import re

from devices.telemetry.reader import Reader
from devices.telemetry.readings import Clock, Temperature, Throttling

CPU = "sys/devices/system/cpu"
# Degrees of a sensor that works; a zone that is switched off shows -256 or -40.
_COLDEST, _HOTTEST = -40.0, 150.0
# vcgencmd get_throttled: the bit of what holds now; 16 bits above it, what has held since the start.
_PI_BITS = {
    0: "under-voltage",
    1: "clock limited",
    2: "throttled",
    3: "soft temperature limit",
}
_PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Android's thermal status, from `dumpsys thermalservice`.
_ANDROID = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")


def read_temperatures(reader: Reader) -> list[Temperature]:
    """Return the thermal zones' and chips' temperatures; several zones of one type are numbered."""
    found = [
        (reader.text(zone / "type") or zone.name, reader.integer(zone / "temp"))
        for zone in reader.find("sys/class/thermal/thermal_zone*")
    ]
    for path in reader.find("sys/class/hwmon/hwmon*/temp*_input"):
        label = reader.text(path.with_name(path.name.replace("_input", "_label")))
        chip = reader.text(path.parent / "name") or path.parent.name
        found.append((f"{chip} {label or path.name.removesuffix('_input')}", reader.integer(path)))
    temperatures: list[Temperature] = []
    names: dict[str, int] = {}
    for name, milli in found:
        if milli is None or not _COLDEST < milli / 1000 < _HOTTEST:
            continue
        names[name] = names.get(name, 0) + 1
        unique = name if names[name] == 1 else f"{name} {names[name]}"
        temperatures.append(Temperature(name=unique, celsius=milli / 1000))
    return temperatures


def read_clocks(reader: Reader) -> list[Clock]:
    """Return the clocks of the CPUs that show them."""
    clocks = []
    for folder in reader.find(f"{CPU}/cpu[0-9]*/cpufreq"):
        now = reader.integer(folder / "scaling_cur_freq")
        if now is None or now <= 0:
            continue
        allowed = reader.integer(folder / "scaling_max_freq")
        most = reader.integer(folder / "cpuinfo_max_freq")
        clocks.append(
            Clock(
                cpu=int(folder.parent.name.removeprefix("cpu")),
                ghz=now / 1e6,
                allowed_ghz=allowed / 1e6 if allowed else None,
                max_ghz=most / 1e6 if most else None,
                governor=reader.text(folder / "scaling_governor"),
            )
        )
    return clocks


def read_throttling(reader: Reader, clocks: list[Clock]) -> list[Throttling]:
    """Return the reasons for lower clocks that the kernel reports."""
    found = []
    limited = [
        each for each in clocks if each.allowed_ghz and each.max_ghz and each.allowed_ghz < each.max_ghz
    ]  # fmt: skip
    if limited:
        cpus = ", ".join(f"cpu{each.cpu} {each.allowed_ghz:g} of {each.max_ghz:g} GHz" for each in limited)  # fmt: skip
        found.append(Throttling(reason=f"clock limited: {cpus}", now=True))
    counts = [
        reader.integer(path)
        for path in reader.find(f"{CPU}/cpu[0-9]*/thermal_throttle/core_throttle_count")
    ]
    if total := sum(count for count in counts if count):
        found.append(Throttling(reason="core temperature limit", now=False, count=total))
    for path in reader.find(_PI_FILE):
        found += parse_get_throttled(reader.text(path))
    return found


def parse_get_throttled(text: str) -> list[Throttling]:
    """Return a Raspberry Pi's reasons, from `throttled=0x50005` of `vcgencmd get_throttled` or the kernel's `50005`."""
    value = re.fullmatch(r"\s*(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})\s*", text, re.ASCII)
    bits = int(value[1], 16) if value else 0
    return [
        Throttling(reason=reason, now=bool(bits >> bit & 1))
        for bit, reason in _PI_BITS.items()
        if bits >> bit & 1 or bits >> (bit + 16) & 1
    ]


def parse_thermal_status(text: str) -> str:
    """Return Android's thermal status in a word, from `dumpsys thermalservice`; "" where the text has none."""
    found = re.search(r"Thermal Status: ([0-6])\b", text)
    return _ANDROID[int(found[1])] if found else ""
