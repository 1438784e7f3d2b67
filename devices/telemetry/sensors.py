"""All sensors of the device at one time."""

from pathlib import Path

from devices.parse.power_mode import parse_active_mode, parse_power_modes
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
        power_mode=_power_mode(reader, root),
        missing=tuple(reader.missing),
    )


def _power_mode(reader: Reader, root: Path) -> str:
    """Return the power mode of a Jetson, as `MAXN_SUPER (2)`; its number alone where its name is not to be had."""
    number = parse_active_mode(reader.text(root / "var/lib/nvpmodel/status"))
    if number is None:
        return ""
    name = parse_power_modes(reader.text(root / "etc/nvpmodel.conf")).get(number, "mode")
    return f"{name} ({number})"
