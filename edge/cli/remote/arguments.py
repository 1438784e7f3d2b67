"""Arguments of `edgepose run` on a board: those that were given here, without what concerns this machine."""

from collections.abc import Mapping
from typing import Any

import click

# Options that this machine deals with, or refuses: what they name is not on the board.
OURS = frozenset(
    (
        *("remote", "remote_python", "ssh_config"),
        *("pose", "detector", "sources"),
        *("tuned", "show", "serve", "serve_token"),
    )
)


def forwarded(command: click.Command, given: Mapping[str, Any]) -> list[str]:
    """Return the options to pass on; given: values by parameter, of those that the command line has."""
    arguments = []
    for param in command.params:
        if not isinstance(param, click.Option) or param.name in OURS or param.name not in given:
            continue
        value = given[param.name]
        flag = param.opts[-1]
        if param.is_flag:
            arguments += [flag] if value else []
        elif value is not None:
            arguments += [f"{flag}={each}" for each in _words(value)]
    return arguments


def _words(value: Any) -> list[str]:
    """Return the words of an option, several where it may be repeated."""
    if isinstance(value, Mapping):
        return [f"{name}={each}" for name, each in value.items()]
    return list(value) if isinstance(value, tuple | list) else [str(value)]
