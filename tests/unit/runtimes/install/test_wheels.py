"""Wheels of the engines against what PyPI's file names say (tags of the releases that are named)."""

import pytest

from runtimes.install.wheels import WHEELS, Python, installable, this_python, why_not
from runtimes.registry import ENGINES

JETPACK6 = Python((3, 10), "aarch64", (2, 35))
BULLSEYE = Python((3, 11), "aarch64", (2, 31))
PI_32_BIT = Python((3, 11), "armv7l", (2, 36))
ALPINE = Python((3, 12), "x86_64", None)


@pytest.mark.parametrize(
    ("python", "package", "release"),
    [
        (JETPACK6, "onnxruntime", "1.23.2"),  # the last with cp310
        (JETPACK6, "openvino", "2026.4.1"),
        (BULLSEYE, "openvino", "2025.2.0"),  # the last that is manylinux_2_31 on aarch64
        (PI_32_BIT, "ncnn", "1.0.20261020"),
        (ALPINE, "ncnn", "1.0.20261020"),  # musllinux_1_2
        (Python((3, 13), "x86_64", (2, 17)), "openvino", "2025.4.1"),  # manylinux2014
    ],
)
def test_the_newest_release_that_fits(python, package, release) -> None:
    assert installable(package, python) == release
    assert why_not(package, python) == ""


@pytest.mark.parametrize(
    ("python", "package", "reason"),
    [
        (PI_32_BIT, "openvino", "only for x86_64, aarch64"),
        (ALPINE, "onnxruntime", "use a system with glibc"),
        (Python((3, 11), "aarch64", (2, 26)), "ai-edge-litert", "they need glibc 2.27"),
        (Python((3, 14), "aarch64", (2, 31)), "openvino", "they need glibc 2.35"),
        (Python((3, 20), "x86_64", (2, 40)), "onnxruntime", "they need Python 3.10 to 3.14"),
    ],
)
def test_what_is_in_the_way(python, package, reason) -> None:
    assert installable(package, python) == ""
    said = why_not(package, python)
    assert said.startswith(f"no wheel for {python}: ")
    assert said.endswith(reason)


def test_every_engine_is_listed() -> None:
    packages = {each.package for each in WHEELS}
    assert packages == {engine.packages[0].replace("_", "-") for engine in ENGINES.values()}


def test_this_python_has_the_engines_that_are_installed_here() -> None:
    python = this_python()
    assert python is None or installable("ncnn", python)


def test_a_package_of_others_is_not_judged() -> None:
    assert why_not("tflite-runtime", PI_32_BIT) == ""
