"""The command that a run proposes next: to keep its results, or to time its models."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.cli.console import command_line
from edge.cli.outputs import Outputs
from edge.cli.running.plan import Plan
from edge.cli.running.setup import picture_suffix
from edge.media.paths import without_login


def next_step(
    sources: Sequence[str],
    plan: Plan,
    models: Mapping[str, Path | None],
    outputs: Outputs,
    board: Sequence[str],
) -> str:
    """Return the command to paste.

    sources: as the user named them. models: by option, None where none was named. board: the options that name a board.
    """
    named = {flag: str(path) for flag, path in models.items() if path}
    if outputs.given:
        return command_line("bench", *named.values(), *board)
    one = plan.way == "one"
    out = f"poses{picture_suffix(sources[0])}" if one else "poses"
    keep = ["--out", out, "--save-json", "poses.json" if one else "poses"]
    shown = map(without_login, sources)  # logs are read by others
    flags = itertools.chain(*named.items())
    return command_line("run", *shown, *flags, *keep, *board)
