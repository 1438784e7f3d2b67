"""Limits that a measurement found, kept, with the words about them."""

from collections.abc import Sequence

from edge.bench.limits.measure import Measured
from edge.bench.limits.record import WRITABLE, Limits, kept_limits, limits_path, save_limits
from edge.cli.checks import require_writable
from edge.cli.console import command_line
from runtimes.errors import GateError

MEASURE = ("doctor", "--measure")
# after `describe_busy`, before a minute of measuring
IF_BUSY = "figures come out too low, or are not kept. Better end those (Ctrl-C ends this)"


def require_keepable() -> None:
    """Raise InputError, before a minute of measuring, where limits cannot be added to the cache afterwards."""
    kept_limits()
    require_writable(limits_path().parent, WRITABLE)


def keep_limits(
    found: Measured, limits: Limits, notes: list[str], where: Sequence[str] = ()
) -> None:
    """Save the limits of a measurement, and add to `notes` what is not in them.

    where: options that name a board. Raises GateError where no figure is valid.
    """
    if not found.rates:
        raise GateError(
            "machine busy: no figure is valid, since other processes used the cores, and nothing was kept; "
            f"run `{command_line(*MEASURE, *where)}` again while nothing else runs"
        )
    notes += found.refused
    if found.starved:
        notes.append(
            f"not valid and not kept, with the share of their cores that they got: {', '.join(found.starved)}; "
            "measure again while nothing else runs"
        )
    notes.append(f"wrote {save_limits(limits)}")
