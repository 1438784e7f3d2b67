"""Options of `run --remote`, and what they and those of `doctor --remote` say."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from edge.bench.remote.ssh import PYTHON, Ssh, check_options, repeated
from edge.bench.remote.target import Target, parse_target
from edge.cli.options import PATH, setting, together
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True)
class Remote:
    """The board (None: this machine), the command of its Python, a configuration file for ssh."""

    remote: str | None
    remote_python: str
    ssh_config: Path | None

    def __post_init__(self) -> None:
        if self.remote is not None:
            _target(self.remote)
        check_options(self.remote, self.remote_python, self.ssh_config)

    @property
    def words(self) -> list[str]:
        """The options as a command line has them; [] for this machine."""
        if self.remote is None:
            return []
        return repeated(self.remote, self.remote_python, self.ssh_config)

    def ssh(self, *, here: Mapping[str, object]) -> Ssh | None:
        """Return what reaches the board, None for this machine.

        here: options of this machine alone, by flag; raises InputError where one is given with --remote.
        """
        if not self.remote:
            return None
        for flag, value in here.items():
            if value:
                raise InputError(f"{flag} is of this machine; leave it out with --remote")
        return Ssh(_target(self.remote), self.ssh_config)


def _target(text: str) -> Target:
    target = parse_target(text)
    if not isinstance(target, Target):
        raise InputError(f"run works over ssh, and so does doctor; {text} is for bench")
    return target


remote_options = together(
    click.option(
        "--remote",
        metavar="ssh:USER@HOST",
        help="Run on a board that OpenSSH reaches without a password: sources are sent, results are written here. "
        "SOURCE board:0 is its camera.",
    ),
    setting(["--remote-python"], str, PYTHON, "Python on the board, 3.10 or newer."),
    click.option(
        "--ssh-config", type=PATH, help="Configuration for ssh in place of ~/.ssh/config."
    ),
    section="Remote",
)
