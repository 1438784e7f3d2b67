"""Limits that a measurement found, kept; the command that measures them."""

import shlex
from pathlib import Path

from edge.bench.limits.measure import Measured
from edge.bench.limits.record import Limits, save_limits
from edge.bench.remote.ssh import PYTHON
from runtimes.errors import GateError

MEASURE = "edgepose doctor --measure"
# after `describe_busy`, before a minute of measuring
IF_BUSY = "figures come out too low, or are not kept. Better end those (Ctrl-C ends this)"


def keep_limits(
    found: Measured, limits: Limits, notes: list[str], command: str = MEASURE
) -> Limits:
    """Save the limits of a measurement, and add to `notes` what is not in them; command: what measures again.

    Raises GateError where no figure is valid.
    """
    if not found.rates:
        raise GateError(
            "machine busy: no figure is valid, since other processes used the cores, and nothing was kept; "
            f"run `{command}` again while nothing else runs"
        )
    notes += found.refused
    if found.starved:
        notes.append(
            f"not valid and not kept, with the share of their cores that they got: {', '.join(found.starved)}; "
            "measure again while nothing else runs"
        )
    notes.append(f"wrote {save_limits(limits)}")
    return limits


def measure_command(remote: str | None, python: str, config: Path | None) -> str:
    """Return the command that measures the limits of a board, None for this machine."""
    return MEASURE + (board_words(remote, python, config) if remote else "")


def board_words(remote: str, python: str, config: Path | None) -> str:
    """Return the options that name a board, each after a blank."""
    words = {"--remote": remote}
    if python != PYTHON:
        words["--remote-python"] = python
    if config:
        words["--ssh-config"] = str(config)
    return "".join(f" {name} {shlex.quote(value)}" for name, value in words.items())
