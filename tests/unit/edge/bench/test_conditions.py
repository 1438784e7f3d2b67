"""State of the machine before and after: what is said of it, and what is kept in RUN.json."""

from pathlib import Path

import msgspec
import pytest

from devices.telemetry import Clock, Rail, Sensors, Temperature, Throttling
from edge.bench.conditions import (
    describe_busy,
    describe_conditions,
    read_conditions,
    throttled,
)
from edge.bench.record import BenchRun, read_run
from edge.bench.report.html import page
from edge.bench.report.results import LabelledResult

RUN = read_run(Path(__file__).parents[3] / "data/run.json")


def sensors(celsius: float, ghz: float, watts: float, *held: Throttling) -> Sensors:
    return Sensors(
        temperatures=(
            Temperature(name="case", celsius=30.0),
            Temperature(name="cpu", celsius=celsius),
        ),
        clocks=(
            Clock(cpu=0, ghz=ghz, governor="performance"),
            Clock(cpu=1, ghz=ghz + 1.0, governor="performance"),
        ),
        rails=(Rail(name="VDD_IN", watts=watts, monitor="ina3221"),),
        throttling=held,
    )


def run(before: Sensors, after: Sensors) -> BenchRun:
    return msgspec.structs.replace(RUN, sensors_before=before, sensors_after=after)


def test_changes_are_said_of_the_hottest_sensor_and_the_mean_clock() -> None:
    found = run(sensors(41.0, 2.0, 4.0), sensors(63.5, 1.5, 9.5))
    assert describe_conditions(found) == {
        "load average": "0.10 to ?",
        "temperature": "41.0 to 63.5 °C (cpu)",
        "clock": "2.50 to 2.00 GHz (mean of the cores)",
        "governor": "performance",
        "power": "4.0 to 9.5 W",
    }
    assert "41.0 to 63.5 °C (cpu)" in page([LabelledResult("r", found)])
    assert msgspec.json.decode(msgspec.json.encode(found), type=BenchRun) == found


def test_what_was_not_read_is_not_said() -> None:
    assert set(describe_conditions(RUN)) == {"load average"}
    assert set(describe_conditions(run(Sensors(), Sensors()))) == {"load average"}
    half = run(Sensors(), sensors(50.0, 2.0, 4.0))
    assert set(describe_conditions(half)) == {"load average", "governor"}


def test_a_power_mode_is_said_once_and_its_change_too() -> None:
    slow, fast = Sensors(power_mode="15W (0)"), Sensors(power_mode="MAXN (2)")
    assert describe_conditions(run(slow, slow))["power mode"] == "15W (0)"
    assert describe_conditions(run(slow, fast))["power mode"] == "15W (0) to MAXN (2)"


def test_throttling_counts_where_it_holds_or_happened_meanwhile() -> None:
    old = Throttling(reason="thermal", now=False, count=7)
    new = Throttling(reason="thermal", now=False, count=8)
    low = Throttling(reason="under-voltage", now=True)
    past = Throttling(reason="cap", now=False)
    cool = sensors(40.0, 2.0, 4.0, old)
    assert list(throttled(run(cool, sensors(40.0, 2.0, 4.0, old, past)))) == []
    hot = run(cool, sensors(80.0, 1.0, 4.0, new, low))
    assert list(throttled(hot)) == ["thermal", "under-voltage"]
    assert describe_conditions(hot)["throttled"] == "thermal, under-voltage"
    assert list(throttled(RUN)) == []


def test_this_machine_is_read_without_an_error() -> None:
    found = read_conditions()
    assert found.load is None or found.load >= 0
    assert isinstance(found.sensors, Sensors)


@pytest.mark.parametrize(
    ("others", "load", "words"),
    [
        (1.02, 0.1, "machine busy: other processes use 1.0 of 2 cores now"),
        (0.1, 7.0, ""),  # what was a minute ago does not count where it is known what is now
        (None, 1.5, "machine busy: load average 1.5 over the last minute, on 2 cores"),
        (None, 0.3, ""),
        (None, None, ""),
    ],
)
def test_a_busy_machine_is_named(others, load, words) -> None:
    assert describe_busy(others, load, 2) == words
