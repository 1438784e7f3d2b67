"""Power modes and clocks that limit inference or make times vary: governor, Jetson's nvpmodel, platform profile.

They are read without root and reported, never changed.
"""

from collections import Counter
from pathlib import Path

from devices.parse.power_mode import parse_active_mode, parse_default_mode, parse_power_modes
from runtimes.threads import read_text

STEADY = "performance"
# Drivers whose own "powersave" follows the load; that of all others is the lowest clock.
# linux Documentation/admin-guide/pm/intel_pstate.rst and amd-pstate.rst, active mode
DYNAMIC_POWERSAVE = {"intel_pstate", "amd-pstate-epp"}
# linux Documentation/ABI/testing/sysfs-class-platform-profile: what gives up speed
SLOW_PROFILES = {"low-power", "cool", "quiet"}
# Jetson's modes without limits of their own, the faster first.
UNLIMITED = ("MAXN_SUPER", "MAXN")


def power_hints(root: Path) -> list[str]:
    """Return a line for each mode worth knowing; `root` holds /etc, /sys and /var."""
    hints = (_governor(root), _jetson_mode(root), _platform_profile(root))
    return [hint for hint in hints if hint]


def _governor(root: Path) -> str:
    folders = list(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq"))
    found = [(read_text(each / "scaling_governor"), each) for each in folders]
    counts = Counter(name for name, _ in found if name)
    others = ", ".join(f"{name} on {counts[name]}" for name in sorted(counts) if name != STEADY)
    if not others:
        return ""
    lowest = any(
        name == "powersave" and read_text(folder / "scaling_driver") not in DYNAMIC_POWERSAVE
        for name, folder in found
    )
    effect = (
        "powersave keeps the lowest clock" if lowest else "clocks follow the load and times vary"
    )
    return (
        f"frequency governor: {others} of {counts.total()} cores; {effect}."
        f" For a benchmark: sudo cpupower frequency-set -g {STEADY}, or without cpupower:"
        f" echo {STEADY} | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    )


def _jetson_mode(root: Path) -> str:
    conf = read_text(root / "etc/nvpmodel.conf")
    modes = parse_power_modes(conf)
    number = parse_active_mode(read_text(root / "var/lib/nvpmodel/status"))
    origin = ""
    if number is None:
        number, origin = parse_default_mode(conf), ", the default: nvpmodel -q says what is set"
    if number is None or number not in modes:
        return ""
    numbers = {name: each for each, name in modes.items()}
    fastest = next((name for name in UNLIMITED if name in numbers), "")
    if modes[number] == fastest:
        return ""
    change = (
        f"sudo nvpmodel -m {numbers[fastest]} ({fastest})"
        if fastest
        else f"sudo nvpmodel -m N ({', '.join(f'{each}: {modes[each]}' for each in sorted(modes))})"
    )
    return (
        f"power mode {modes[number]} ({number}{origin}): it limits clocks, and may switch cores off."
        f" Note it with every figure. For a benchmark: {change}, then sudo jetson_clocks"
    )


def _platform_profile(root: Path) -> str:
    folder = root / "sys/firmware/acpi"
    profile = read_text(folder / "platform_profile")
    choices = read_text(folder / "platform_profile_choices").split()
    if profile not in SLOW_PROFILES or STEADY not in choices:
        return ""
    return (
        f"platform profile {profile}: the firmware holds the power down. For a benchmark:"
        f" echo {STEADY} | sudo tee /sys/firmware/acpi/platform_profile"
    )
