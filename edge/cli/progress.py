"""Progress of long work in several phases, on stderr: a bar for the current one, and lasting messages above it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Phases:
    """Shows one phase at a time; where stderr is no terminal, the messages, and a phase's name once it advances."""

    def __init__(self, bar: Progress, *, quiet: bool = False) -> None:
        self._bar = bar
        self._quiet = quiet
        self._task = bar.add_task("", visible=False)
        self._unnamed = ""

    def phase(self, name: str, total: int) -> None:
        """Begin a phase of `total` steps; 0 where the number is unknown."""
        self._unnamed = name
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(name, total=total or None)

    def advance(self, done: int, text: str) -> None:
        """Show that `done` steps of the phase are done, with a text beside the bar."""
        if self._bar.disable and self._unnamed:
            self.say(f"{self._unnamed} ...")
            self._unnamed = ""
        self._bar.update(self._task, completed=done, description=text)

    def say(self, text: str) -> None:
        """Print a lasting message."""
        if self._quiet:
            return
        if self._bar.disable:
            print(text, file=sys.stderr, flush=True)  # noqa: T201
        else:
            self._bar.console.print(text, highlight=False)


@contextmanager
def phases(*, quiet: bool = False) -> Iterator[Phases]:
    """Yield phases; `quiet` prints nothing, for further processes of the same work."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    silent = quiet or not sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=silent) as bar:
        yield Phases(bar, quiet=quiet)
