"""State of the machine around a benchmark: load, temperatures, clocks, throttling and power, in words."""

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from devices.cpu_use import affinity, others_between, read_cpu_use, ticks_per_second
from devices.telemetry import Sensors, read_sensors
from edge.bench.record import BenchRun, is_crowded


@dataclass(frozen=True, slots=True)
class Conditions:
    """Load average over a minute, None where the system does not say, and the sensors that can be read."""

    load: float | None
    sensors: Sensors


def read_conditions() -> Conditions:
    """Return the machine's state now; raises nothing."""
    return Conditions(load_average(), read_sensors())


def load_average() -> float | None:
    """Return the processes that wanted a core, as the mean over a minute; None where the system does not say."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # not every system has one
        return None


def watch_others(seconds: float) -> float | None:
    """Return the mean number of this process's CPUs that others use in the next `seconds`; None: not known."""
    before, cpus = read_cpu_use(), affinity()
    time.sleep(seconds)
    return others_between(before, read_cpu_use(), cpus, ticks_per_second())


def describe_busy(others: float | None, load: float | None, cpus: int) -> str:
    """Return in words that other processes use too much of `cpus`, by the load average where others is not known.

    "" where they do not, or nothing is known.
    """
    if is_crowded(others, cpus):
        return f"machine busy: other processes use {others:.1f} of {cpus} cores now"
    if others is None and is_crowded(load, cpus):
        return f"machine busy: load average {load:.1f} over the last minute, on {cpus} cores"
    return ""


def describe_conditions(run: BenchRun) -> dict[str, str]:
    """Return what changed from before to after a run, in words by name; only what was read at both times."""
    found = {
        "load average": " to ".join(
            "?" if each is None else f"{each:.2f}" for each in (run.load_before, run.load_after)
        )
    }
    before, after = run.sensors_before, run.sensors_after
    if before is None or after is None:
        return found
    first = {each.name: each.celsius for each in before.temperatures}
    hottest = after.hottest
    if hottest and hottest.name in first:
        change = f"{first[hottest.name]:.1f} to {hottest.celsius:.1f} °C"
        found["temperature"] = f"{change} ({hottest.name})"
    clocks = [
        statistics.mean(clock.ghz for clock in each.clocks)
        for each in (before, after)
        if each.clocks
    ]
    if len(clocks) == 2:
        found["clock"] = f"{clocks[0]:.2f} to {clocks[1]:.2f} GHz (mean of the cores)"
    governors = dict.fromkeys(clock.governor for clock in after.clocks if clock.governor)
    if governors:
        found["governor"] = ", ".join(governors)
    modes = dict.fromkeys(each.power_mode for each in (before, after) if each.power_mode)
    if modes:
        found["power mode"] = " to ".join(modes)
    if before.watts is not None and after.watts is not None:
        found["power"] = f"{before.watts:.1f} to {after.watts:.1f} W"
    held = list(throttled(run))
    if held:
        found["throttled"] = ", ".join(held)
    return found


def throttled(run: BenchRun) -> Iterator[str]:
    """Yield the reasons for lower clocks that held at the end of a run, or whose events it added to."""
    if run.sensors_after is None:
        return
    earlier = {
        each.reason: each.count or 0
        for each in (run.sensors_before.throttling if run.sensors_before else ())
    }
    for each in run.sensors_after.throttling:
        if each.now or (each.count or 0) > earlier.get(each.reason, each.count or 0):
            yield each.reason
