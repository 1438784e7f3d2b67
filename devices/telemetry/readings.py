"""Readings of sensors, as records that a benchmark can keep."""

from runtimes.record import Record

INA3221 = "ina3221"  # the power monitor of Jetson boards
# Rails that the whole module draws from (Jetson).
_TOTAL = ("VDD_IN", "POM_5V_IN")


class Temperature(Record, frozen=True, kw_only=True):
    """A temperature in degrees Celsius; name: of the thermal zone or of the chip and its label."""

    name: str
    celsius: float


class Clock(Record, frozen=True, kw_only=True):
    """The clock of a logical CPU in GHz: now, the most the kernel allows now, the most the hardware has; governor."""

    cpu: int
    ghz: float
    allowed_ghz: float | None = None
    max_ghz: float | None = None
    governor: str = ""


class Rail(Record, frozen=True, kw_only=True):
    """Power drawn from a rail, in watts; monitor: the chip that measures it."""

    name: str
    watts: float
    monitor: str = ""


class Energy(Record, frozen=True, kw_only=True):
    """A counter of energy in joules since some time; it begins again from 0 after `wraps_at`."""

    name: str
    joules: float
    wraps_at: float | None = None


class Throttling(Record, frozen=True, kw_only=True):
    """A reason for lower clocks; `now`: it holds, else it has held since the start. count: of events, where counted."""

    reason: str
    now: bool
    count: int | None = None


class Sensors(Record, frozen=True, kw_only=True):
    """All that could be read at one time; missing: what is there and could not be read, and why.

    power_mode: name and number of a Jetson's, as last set with nvpmodel; "" elsewhere.
    """

    temperatures: tuple[Temperature, ...] = ()
    clocks: tuple[Clock, ...] = ()
    rails: tuple[Rail, ...] = ()
    energies: tuple[Energy, ...] = ()
    throttling: tuple[Throttling, ...] = ()
    power_mode: str = ""
    missing: tuple[str, ...] = ()

    @property
    def hottest(self) -> Temperature | None:
        """The highest temperature."""
        return max(self.temperatures, key=lambda each: each.celsius, default=None)

    @property
    def watts(self) -> float | None:
        """Power of a whole Jetson: of the rail that feeds it, else of all its rails together; None: no such rails."""
        board = {rail.name: rail.watts for rail in self.rails if rail.monitor == INA3221}
        total = next((board[name] for name in _TOTAL if name in board), sum(board.values()))
        return total if board else None


def mean_watts(before: Sensors, after: Sensors, seconds: float) -> tuple[Rail, ...]:
    """Return the mean power of each energy counter between two readings `seconds` apart; () for no time between."""
    if seconds <= 0:
        return ()
    earlier = {each.name: each.joules for each in before.energies}
    rails = []
    for each in after.energies:
        if each.name in earlier:
            joules = each.joules - earlier[each.name]
            if joules < 0 and each.wraps_at:
                joules += each.wraps_at
            if joules >= 0:
                rails.append(Rail(name=each.name, watts=joules / seconds))
    return tuple(rails)
