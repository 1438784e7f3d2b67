"""Output of commands: tables and JSON to stdout, messages and progress to stderr."""

import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from runtimes.parity_spec import ApParity, BoxesParity, Parity, PxParity

_STDERR = 2
NO_HINT = "EDGEPOSE_NO_HINT"


def say(text: str) -> None:
    """Print a message of one line on stderr."""
    click.echo(text, err=True)


def hint(text: str) -> None:
    """Print the next command to run, on stderr; not where another edgepose does that, which started this one."""
    if NO_HINT not in os.environ:
        click.echo(f"next: {text}", err=True)


def command_line(*words: object) -> str:
    """Return a command of edgepose as a shell takes it, names with blanks quoted."""
    return shlex.join(["edgepose", *map(str, words)])


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=1).decode())


def emit_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print padded columns on stdout; plain text, readable over ssh and in pipes."""
    for line in format_table(header, rows):
        click.echo(line)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return padded columns, a line each for the header and the rows."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [header, *rows]
    ]


def silence_stdout() -> None:
    """Send what is still in stdout's buffer, and all that follows, nowhere: its reader has gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Stderr(io.FileIO):
    """The descriptor of stderr; what cannot be written, as to a logger that has ended, is lost and ends no run."""

    def write(self, data: Any) -> int:
        """Write, or drop the bytes."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def guard_streams() -> None:
    """Open closed standard streams, so that no file takes their place, and let no message end the program.

    A closed stdout stays None: results that are to be written there are refused.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # noqa: PERF203 three of them
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor
    buffer = io.BufferedWriter(_Stderr(_STDERR, "wb", closefd=False))
    encoding = getattr(sys.stderr, "encoding", None)
    sys.stderr = io.TextIOWrapper(buffer, encoding, errors="backslashreplace", write_through=True)


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Any]:
    """Show a progress bar on stderr where it is a terminal; yields `advance(text)`."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(label, total=total)

        def advance(text: str = "", steps: int = 1) -> None:
            bar.update(task, advance=steps, description=text or label)

        yield advance


@contextmanager
def transfer(label: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show the progress of a download on stderr, as a bar on a terminal, else as one line; yields the callback.

    Nothing is shown before the first byte, so nothing is shown where nothing is downloaded.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    terminal = sys.stderr.isatty()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not terminal) as bar:
        task = bar.add_task(label, total=None, visible=False)

        def received(done: int, total: int | None) -> None:
            if not terminal and not bar.tasks[0].visible:
                size = "" if total is None else f" ({total / 1e6:.0f} MB)"
                say(f"downloading {label}{size}")
            bar.update(task, completed=done, total=total, visible=True)

        yield received


def number(value: float | None, digits: int = 4) -> str:
    """Format a figure for a table; a dash where it is undefined."""
    if value is None:
        return "-"
    return f"{value:.{digits}g}"


def describe(parity: Parity) -> str:
    """Return the result of a comparison in a few words, with the figure that decided it and what it was computed on."""
    return f"{parity.where}: {_figure(parity)}" if parity.where else _figure(parity)


def _figure(parity: Parity) -> str:
    limit = number(parity.limit)
    if isinstance(parity, PxParity):
        return f"p95 {number(parity.px_p95)} px (limit {limit}), {parity.decidable}/{parity.keypoints} decidable"
    if isinstance(parity, BoxesParity):
        return _describe_boxes(parity)
    if isinstance(parity, ApParity):
        return f"AP {number(parity.ap)}, drop {number(parity.ap_drop)} {parity.ap_interval} (limit {limit})"
    return f"raw error {number(parity.raw_error)} (limit {limit})"


def _describe_boxes(parity: BoxesParity) -> str:
    matched = f"{parity.matched:.1%} of {parity.boxes} boxes matched"
    if parity.matched_interval:
        low, high = parity.matched_interval
        matched += f", {low:.1%} to {high:.1%}"
    if parity.limit is not None:
        matched += f" (limit {parity.limit:.0%})"
    shift = parity.score_shift
    return matched if shift is None else f"{matched}, score shift {shift:+.2g}"


def verdict(passed: bool | None) -> str:
    """Return `passed` of a manifest as a word."""
    return {True: "passed", False: "REFUSED", None: "unjudged"}[passed]
