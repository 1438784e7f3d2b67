"""Wheels of the engines on PyPI, by CPython version, processor and C library.

Resolved with pip (`--only-binary=:all: --platform ... --python-version ...`) on 29 November 2026, within the lowest
versions that pyproject.toml allows. An engine that is not listed has no wheel for Linux there.
"""

import os
import platform
import struct
import sys
from dataclasses import dataclass

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wheel:
    """The newest release with wheels for these machines: CPython versions from, to; lowest glibc (None: for musl)."""

    package: str
    release: str
    machines: tuple[str, ...]
    pythons: tuple[Version, Version]
    glibc: Version | None


BIG = ("x86_64", "aarch64")
# best first
WHEELS = (
    Wheel("ncnn", "1.0.20261020", BIG, ((3, 10), (3, 15)), (2, 24)),
    Wheel("ncnn", "1.0.20261020", BIG, ((3, 10), (3, 14)), None),
    Wheel("ncnn", "1.0.20261020", ("i686",), ((3, 10), (3, 14)), (2, 24)),
    Wheel("ncnn", "1.0.20261020", ("armv7l",), ((3, 10), (3, 14)), (2, 31)),
    Wheel("openvino", "2026.4.1", ("x86_64",), ((3, 10), (3, 14)), (2, 28)),
    Wheel("openvino", "2025.4.1", ("x86_64",), ((3, 10), (3, 14)), (2, 17)),
    Wheel("openvino", "2026.4.1", ("aarch64",), ((3, 10), (3, 14)), (2, 35)),
    Wheel("openvino", "2025.2.0", ("aarch64",), ((3, 10), (3, 13)), (2, 31)),
    Wheel("ai-edge-litert", "2.3.0", BIG, ((3, 10), (3, 14)), (2, 27)),
    Wheel("onnxruntime", "1.32.0", BIG, ((3, 11), (3, 14)), (2, 28)),
    Wheel("onnxruntime", "1.28.0", BIG, ((3, 11), (3, 14)), (2, 27)),
    Wheel("onnxruntime", "1.23.2", BIG, ((3, 10), (3, 10)), (2, 27)),
)
# what a 32-bit Python on a 64-bit kernel is
NARROW = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}


@dataclass(frozen=True, slots=True)
class Python:
    """A Python on Linux as wheels are chosen for it: its version, processor and C library (glibc None: musl)."""

    version: Version
    machine: str
    glibc: Version | None

    def __str__(self) -> str:
        libc = f"glibc {_dotted(self.glibc)}" if self.glibc else "musl"
        return f"Python {_dotted(self.version)} on {self.machine}, {libc}"


def this_python() -> Python | None:
    """Return this Python; None where it is no CPython on Linux, of which nothing is known here."""
    if sys.platform != "linux" or platform.python_implementation() != "CPython":
        return None
    machine = platform.machine()
    if struct.calcsize("P") == 4:
        machine = NARROW.get(machine, machine)
    return Python(sys.version_info[:2], machine, _glibc())


def installable(package: str, python: Python) -> str:
    """Return the newest release of an engine's `package` with a wheel for this Python; "" where there is none."""
    return next(
        (each.release for each in WHEELS if each.package == package and _fits(each, python)), ""
    )


def why_not(package: str, python: Python) -> str:
    """Return why an engine has no wheel for this Python: what its nearest wheels need instead; "" where it has one.

    Also "" for a package that is not listed.
    """
    own = [each for each in WHEELS if each.package == package]
    if not own or installable(package, python):
        return ""
    alike = [each for each in own if python.machine in each.machines]
    if not alike:
        machines = dict.fromkeys(machine for each in own for machine in each.machines)
        return f"no wheel for {python}: only for {', '.join(machines)}"
    if python.glibc is None:
        return f"no wheel for {python}: use a system with glibc"
    alike = [each for each in alike if each.glibc]
    pythons = [each for each in alike if each.pythons[0] <= python.version <= each.pythons[1]]
    if not pythons:
        lowest, highest = (
            min(each.pythons[0] for each in alike),
            max(each.pythons[1] for each in alike),
        )
        return f"no wheel for {python}: they need Python {_dotted(lowest)} to {_dotted(highest)}"
    lowest = min(each.glibc for each in pythons if each.glibc)
    return f"no wheel for {python}: they need glibc {_dotted(lowest)}"


def _fits(wheel: Wheel, python: Python) -> bool:
    libc = (
        wheel.glibc is None
        if python.glibc is None
        else wheel.glibc is not None and wheel.glibc <= python.glibc
    )
    first, last = wheel.pythons
    return libc and python.machine in wheel.machines and first <= python.version <= last


def _glibc() -> Version | None:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION") or ""  # "glibc 2.36"
        major, _, minor = name.split()[1].partition(".")
        return int(major), int(minor)
    except (ValueError, OSError, IndexError):  # musl knows no such name
        return None


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"
