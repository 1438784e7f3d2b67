"""Power: INA3221 monitors of Jetson boards (JetPack 4 and later), power sensors of hwmon, Intel's energy counters."""

from pathlib import Path

from devices.telemetry.reader import Reader
from devices.telemetry.readings import INA3221, Energy, Rail

# Channels that measure no rail: not connected, and the sum of the others' shunt voltages.
_NO_RAIL = {"", "NC", "sum of shunt voltages"}


def read_rails(reader: Reader) -> list[Rail]:
    """Return the power of the rails that show it."""
    rails: list[Rail] = []
    seen: set[Path] = set()
    for pattern in ("sys/class/hwmon/hwmon*", "sys/bus/i2c/devices/*/hwmon/hwmon*"):
        for chip in reader.find(pattern):
            if chip.resolve() not in seen:  # both lead to the same folder
                seen.add(chip.resolve())
                rails += _of_chip(reader, chip)
    for chip in reader.find("sys/bus/i2c/devices/*/iio:device*"):  # JetPack 4: milliwatts
        for path in reader.find("in_power*_input", chip):
            channel = path.name.removeprefix("in_power").removesuffix("_input")
            name, milliwatts = reader.text(chip / f"rail_name_{channel}"), reader.integer(path)
            if name not in _NO_RAIL and milliwatts is not None:
                rails.append(Rail(name=name, watts=milliwatts / 1e3, monitor=INA3221))
    return rails


def read_energies(reader: Reader) -> list[Energy]:
    """Return Intel's and AMD's energy counters; most systems show them to root alone."""
    energies = []
    for domain in reader.find("sys/class/powercap/intel-rapl:*"):
        microjoules = reader.integer(domain / "energy_uj")
        if microjoules is not None and microjoules >= 0:
            most = reader.integer(domain / "max_energy_range_uj")
            energies.append(
                Energy(
                    name=f"{domain.name} {reader.text(domain / 'name')}".strip(),
                    joules=microjoules / 1e6,
                    wraps_at=most / 1e6 if most else None,
                )
            )
    return energies


def _of_chip(reader: Reader, chip: Path) -> list[Rail]:
    """Return the rails of a chip: current times voltage of an INA3221, in mA and mV; microwatts of others."""
    name = reader.text(chip / "name")
    rails = []
    if name == INA3221:
        for path in reader.find("in*_label", chip):
            label, channel = reader.text(path), path.name.removeprefix("in").removesuffix("_label")
            millivolts = reader.integer(chip / f"in{channel}_input")
            milliamperes = reader.integer(chip / f"curr{channel}_input")
            if label not in _NO_RAIL and millivolts is not None and milliamperes is not None:
                watts = millivolts * milliamperes / 1e6
                rails.append(Rail(name=label, watts=watts, monitor=name))
        return rails
    for path in reader.find("power*_input", chip):
        microwatts = reader.integer(path)
        label = reader.text(path.with_name(path.name.replace("_input", "_label")))
        if microwatts is not None:
            title = label or path.name.removesuffix("_input")
            rails.append(Rail(name=title, watts=microwatts / 1e6, monitor=name or chip.name))
    return rails
