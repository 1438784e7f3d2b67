"""Hints about the machine from /proc and /sys as Linux writes them."""

from pathlib import Path

import pytest

from edge.cli.health.system import system_hints


@pytest.fixture
def machine(tmp_path):
    """Write files below a root."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def governor(core: int) -> str:
    return f"sys__devices__system__cpu__cpu{core}__cpufreq__scaling_governor"


def test_a_machine_that_shows_nothing_has_no_hints(tmp_path) -> None:
    assert system_hints(tmp_path, {}, 0.5, 4) == []


def test_governors_other_than_performance_are_named(machine) -> None:
    root = machine(
        **{governor(0): "schedutil\n", governor(1): "schedutil\n", governor(2): "performance\n"}
    )
    (hint,) = system_hints(root, {}, 0.0, 4)
    assert "schedutil on 2 of 3 cores" in hint
    assert "cpupower frequency-set -g performance" in hint
    assert (
        system_hints(machine(**{governor(0): "performance", governor(1): "performance"}), {}, 0, 4)
        == []
    )


def test_a_quota_below_the_cores_is_named(machine) -> None:
    root = machine(proc__self__cgroup="0::/\n", **{"sys__fs__cgroup__cpu.max": "150000 100000\n"})
    (hint,) = system_hints(root, {}, 0.0, 4)
    assert "1.5 of 4 cores" in hint
    assert "--threads at 1 or below" in hint
    assert system_hints(root, {}, 0.0, 1) == []


@pytest.mark.parametrize(
    ("environment", "load", "named"),
    [
        ({}, 5.0, True),
        ({}, 4.0, False),
        ({"OMP_NUM_THREADS": "4"}, 5.0, True),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, 5.0, False),
        ({"GOMP_SPINCOUNT": "0"}, 5.0, False),
        ({"OMP_WAIT_POLICY": ""}, 5.0, True),
    ],
)
def test_spinning_threads_on_a_busy_machine_are_named(tmp_path, environment, load, named) -> None:
    hints = system_hints(tmp_path, environment, load, 4)
    assert [("load average 5.0 on 4 cores" in hint) for hint in hints] == [True] * named
