"""Profile matching: a device's texts -> its profile, the most specific evidence first.

Module and board of the device tree, then the SoC (device tree, Qualcomm's soc_id, Android), ARM core types, CPUID, the
brand; what matches nothing gets the generic profile of its architecture. So does a device that names an unlisted board
or SoC, even where its core types match: other chips have the same cores.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from devices.parse.board import parse_compatible, parse_getprop, parse_soc_id
from devices.parse.cpuinfo import CpuInfo, parse_cpuinfo
from devices.profiles.profile import Profile, load_profiles

COMPATIBLE = "/proc/device-tree/compatible"
MODEL = "/proc/device-tree/model"
CPUINFO = "/proc/cpuinfo"
# The kernel's name for every Raspberry Pi, whatever its SoC.
_ANY_PI = "BCM2835"


@dataclass(frozen=True, slots=True)
class Texts:
    """What a device says of itself: contents of /proc, /sys/devices/soc0 and `getprop`; "" where unread."""

    cpuinfo: str = ""
    compatible: str = ""
    model: str = ""
    soc_id: str = ""
    soc_family: str = ""
    soc_machine: str = ""
    getprop: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a profile was chosen: the text `found` in `file`.

    source: of the fact that the profile has it, keys of `ProfileFile.sources`. certain: False where other devices may
    say the same (core types, brand, a SoC family without a known module).
    """

    file: str
    found: str
    source: tuple[str, ...]
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """The device's profile; evidence is None where it is generic, by architecture alone."""

    arch: str
    profile: Profile
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class _Parsed:
    texts: Texts
    cpu: CpuInfo
    compatible: tuple[str, ...]
    soc_id: int | None
    properties: dict[str, str]


_Rule = Callable[[Profile, _Parsed], Evidence | None]


def identify(texts: Texts, arch: str) -> Identity:
    """Return the profile of the device that `texts` are of; `arch` counts where they show none. Raises nothing."""
    cpu = parse_cpuinfo(texts.cpuinfo)
    qualcomm = texts.soc_family.lower() in {"", "snapdragon"}
    parsed = _Parsed(
        texts=texts,
        cpu=cpu,
        compatible=parse_compatible(texts.compatible),
        soc_id=parse_soc_id(texts.soc_id) if qualcomm else None,
        properties=parse_getprop(texts.getprop),
    )
    machine = _arch(cpu) or arch
    profiles = load_profiles().profiles
    for rule in RULES:
        for profile in profiles:
            if evidence := rule(profile, parsed):
                return Identity(machine, profile, evidence)
    return Identity(machine, _generic(profiles, machine), None)


def _arch(cpu: CpuInfo) -> str:
    if cpu.cores:
        return "aarch64" if "asimd" in cpu.flags else "armv7l"
    return "x86_64" if cpu.vendor and "lm" in cpu.flags else ""


def _generic(profiles: Iterable[Profile], arch: str) -> Profile:
    *_, fallback = (each for each in profiles if each.family == "generic")
    return next((each for each in profiles if arch.lower() in each.match.arch), fallback)


def _by_module(profile: Profile, parsed: _Parsed) -> Evidence | None:
    """Match NVIDIA's number of the module; its last four digits are variants (memory), known ones or not."""
    numbers = {module.partition("-")[0] for module in profile.match.modules}
    for entry in parsed.compatible:
        if entry.startswith("nvidia,") and numbers & set(re.findall(r"\bp\d{4}\b", entry)):
            return Evidence(COMPATIBLE, entry, profile.sources["modules"])
    return None


def _by_model(profile: Profile, parsed: _Parsed) -> Evidence | None:
    pattern = profile.match.model
    for file, text in ((MODEL, parsed.texts.model), (CPUINFO, parsed.cpu.board)):
        if pattern and re.search(pattern, text):
            return Evidence(file, text, profile.sources["model"])
    return None


def _by_board(profile: Profile, parsed: _Parsed) -> Evidence | None:
    """Match the first entry of the device tree that any profile has: a board precedes its SoC."""
    known = {each for other in load_profiles().profiles for each in other.match.compatible}
    entry = next((each for each in parsed.compatible if each in known), None)
    if entry is None or entry not in profile.match.compatible:
        return None
    family = entry.startswith("nvidia,tegra")  # shared by modules of other sizes
    return Evidence(COMPATIBLE, entry, profile.sources["compatible"], certain=not family)


def _by_soc_id(profile: Profile, parsed: _Parsed) -> Evidence | None:
    if parsed.soc_id is None or parsed.soc_id not in profile.match.soc_ids:
        return None
    return Evidence("/sys/devices/soc0/soc_id", str(parsed.soc_id), profile.sources["soc_ids"])


def _by_soc_name(profile: Profile, parsed: _Parsed) -> Evidence | None:
    """Match the SoC's part number (SM8550) in Android's properties, soc0/machine or the kernel's `Hardware`."""
    for file, text in (
        ("getprop ro.soc.model", parsed.properties.get("ro.soc.model", "")),
        ("/sys/devices/soc0/machine", parsed.texts.soc_machine),
        (CPUINFO, parsed.cpu.hardware),
    ):
        part = re.search(r"\b(?:SM|QCS|QCM|QRB|SC)\d{4}", text)
        if part and part[0] in profile.match.android_models:
            return Evidence(file, text, profile.sources["android_models"])
    return None


def _by_platform(profile: Profile, parsed: _Parsed) -> Evidence | None:
    platform = parsed.properties.get("ro.board.platform", "")
    if "ro.soc.model" in parsed.properties or platform not in profile.match.android_platforms:
        return None
    return Evidence(
        "getprop ro.board.platform", platform, profile.sources["android_platforms"], certain=False
    )


def _by_cores(profile: Profile, parsed: _Parsed) -> Evidence | None:
    """Match the number of cores of each type, where nothing names a board or SoC."""
    named = (
        parsed.compatible
        or parsed.texts.soc_id
        or parsed.cpu.hardware not in {"", _ANY_PI}
        or {"ro.soc.model", "ro.board.platform"} & set(parsed.properties)
    )
    counts = Counter(midr for _, midr in parsed.cpu.cores)
    if named or not counts or dict(counts) not in profile.match.cores:
        return None
    found = ", ".join(f"{count}x {midr}" for midr, count in counts.items())
    return Evidence(CPUINFO, found, profile.sources["cores"], certain=False)


def _by_cpuid(profile: Profile, parsed: _Parsed) -> Evidence | None:
    cpu, wanted = parsed.cpu, profile.match.cpuid
    if (
        wanted is None
        or cpu.vendor != wanted.vendor
        or cpu.family not in wanted.families
        or (wanted.models and cpu.model not in wanted.models)
        or not cpu.flags.issuperset(wanted.flags)
        or not cpu.flags.isdisjoint(wanted.without_flags)
    ):
        return None
    found = f"{cpu.vendor} family {cpu.family} model {cpu.model}"
    return Evidence(CPUINFO, found, profile.sources["cpuid"])


def _by_brand(profile: Profile, parsed: _Parsed) -> Evidence | None:
    if not profile.match.brand or not re.search(profile.match.brand, parsed.cpu.brand):
        return None
    return Evidence(CPUINFO, parsed.cpu.brand, profile.sources["brand"], certain=False)


# Each is tried on all profiles before the next.
RULES: tuple[_Rule, ...] = (
    _by_module,
    _by_model,
    _by_board,
    _by_soc_id,
    _by_soc_name,
    _by_platform,
    _by_cores,
    _by_cpuid,
    _by_brand,
)
