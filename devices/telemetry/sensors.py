"""All sensors of the device at one time."""

from pathlib import Path

from devices.telemetry.power import read_energies, read_rails
from devices.telemetry.reader import Reader
from devices.telemetry.readings import Sensors
from devices.telemetry.thermal import read_clocks, read_temperatures, read_throttling


def read_sensors(root: Path = Path("/")) -> Sensors:
    """Return what the sensors below `root` show now. Raises nothing: a sensor may be refused, busy or gone."""
    reader = Reader(root)
    clocks = read_clocks(reader)
    return Sensors(
        temperatures=tuple(read_temperatures(reader)),
        clocks=tuple(clocks),
        rails=tuple(read_rails(reader)),
        energies=tuple(read_energies(reader)),
        throttling=tuple(read_throttling(reader, clocks)),
        missing=tuple(reader.missing),
    )
