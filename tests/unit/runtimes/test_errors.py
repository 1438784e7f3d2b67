"""Errors that say what to install, and where that is not possible."""

import platform
from pathlib import Path

import pytest

from runtimes.errors import WHEELS, MissingDependencyError, missing_package

PYPROJECT = Path(__file__).resolve().parents[3] / "pyproject.toml"
BOARD = ("linux", "aarch64")
HOST = ("linux", "x86_64")


def test_a_missing_package_names_the_command() -> None:
    error = MissingDependencyError("torch", "export")
    assert error.exit_code == 4
    assert str(error) == "torch is not installed; run: pip install 'edgepose[export]'"


def test_a_package_without_wheels_for_this_machine_names_those_that_have_them() -> None:
    message = missing_package("litert-torch", "export", BOARD, (3, 13))
    assert "no build for linux aarch64 with Python 3.13" in message
    assert "on linux x86_64 or darwin arm64" in message
    assert "pip install" not in message  # it would fail
    assert "pip install" in missing_package("litert-torch", "export", HOST, (3, 13))
    assert "pip install" in missing_package("torch", "export", BOARD, (3, 13))


def test_pyproject_asks_for_a_package_only_where_it_has_wheels() -> None:
    tomllib = pytest.importorskip("tomllib")
    requirements = pytest.importorskip("packaging.requirements")
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    marked = {}
    for line in {line for lines in extras.values() for line in lines}:
        requirement = requirements.Requirement(line)
        if requirement.marker:
            marked[requirement.name] = requirement.marker
    assert marked.keys() == WHEELS.keys()
    machines = [
        (system, machine)
        for system in ("linux", "darwin", "win32")
        for machine in ("x86_64", "aarch64", "arm64", "AMD64", platform.machine())
    ]
    for name, marker in marked.items():
        for system, machine in machines:
            asked = marker.evaluate({"sys_platform": system, "platform_machine": machine})
            assert asked == ((system, machine) in WHEELS[name]), (name, system, machine)
