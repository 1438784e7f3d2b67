"""Hardware telemetry: temperatures, clocks, throttling, power; as far as they are readable without root.

Nothing is set or switched: governors, power modes and clocks stay as they are.
"""

from devices.telemetry.readings import (
    Clock,
    Energy,
    Rail,
    Sensors,
    Temperature,
    Throttling,
    mean_watts,
)
from devices.telemetry.sensors import read_sensors

__all__ = [
    "Clock",
    "Energy",
    "Rail",
    "Sensors",
    "Temperature",
    "Throttling",
    "mean_watts",
    "read_sensors",
]
