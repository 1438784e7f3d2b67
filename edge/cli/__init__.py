"""Command line and composition root: one module for each verb, loaded when called, so that `--help` stays fast.

Data goes to stdout, messages and progress to stderr. Exit codes: 0 ok, 1 our bug (a traceback), 2 wrong use or bad
input, 3 a gate failed, 4 something is missing from the environment, 130 interrupted, 143 `run` ended by SIGTERM.
"""

import difflib
import errno
import importlib
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from edge.cli.console import guard_streams
from edge.cli.signals import ctrl_c_noted
from edge.media.paths import exists
from runtimes.errors import EdgeposeError, EdgeposeWarning, MissingDependencyError
from runtimes.version import __version__

# verb: (module, one line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "models": (
        "edge.cli.commands.models",
        "List the models that can be exported or imported.",
    ),
    "get": (
        "edge.cli.commands.get",
        "Download, export and check models into the cache, ready to run.",
    ),
    "export": (
        "edge.cli.commands.export",
        "Convert a PyTorch model and check each artifact against it.",
    ),
    "import": (
        "edge.cli.commands.import_",
        "Wrap an already converted model as an artifact.",
    ),
    "verify": (
        "edge.cli.commands.verify",
        "Check an artifact against its stored reference on this machine.",
    ),
    "quantize": (
        "edge.cli.commands.quantize",
        "Quantize artifacts to int8 and check them against their float parents.",
    ),
    "label": (
        "edge.cli.commands.label",
        "Label pictures with a pose model, as a COCO data set.",
    ),
    "train": (
        "edge.cli.commands.train",
        "Train a detector or a pose model on labels.",
    ),
    "distill": (
        "edge.cli.commands.distill",
        "Train a small student with a large teacher.",
    ),
    "eval": (
        "edge.cli.commands.eval",
        "Compute the COCO AP of a model.",
    ),
    "run": (
        "edge.cli.commands.run",
        "Estimate poses in images, a video, a camera stream or drawn scenes.",
    ),
    "bench": (
        "edge.cli.commands.bench",
        "Benchmark artifacts side by side on this machine.",
    ),
    "compare": (
        "edge.cli.commands.compare",
        "Compare benchmark and evaluation results, and find regressions.",
    ),
    "tune": (
        "edge.cli.commands.tune",
        "Find the fastest verified options on this machine.",
    ),
    "info": (
        "edge.cli.commands.info",
        "Verify an artifact's files and show its manifest.",
    ),
    "devices": (
        "edge.cli.commands.devices",
        "Show which device this is, its cores, sensors, and what suits it.",
    ),
    "doctor": (
        "edge.cli.commands.doctor",
        "Check what is installed, and what is missing for which verbs.",
    ),
    "demo": (
        "edge.cli.commands.demo",
        "Export, check and run two models on a drawn clip.",
    ),
}
# Errors of the system that no check foresaw: a name that no file can have, rights, a full or broken disk.
_OF_THE_SYSTEM = (
    errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG,
    errno.EIO,
)  # fmt: skip
KEY_VALUE = re.compile(r"^([a-z][a-z0-9-]*)=(.*)$", re.DOTALL)


class LazyGroup(click.Group):
    """A command group that imports the module of a verb only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest verb for an unknown one, and accept `key=value` for `--key value`."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        name, command, rest = super().resolve_command(ctx, args)
        return name, command, rest if command is None else spell_out(command, rest)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def spell_out(command: click.Command, args: Sequence[str]) -> list[str]:
    """Turn `key=value` into `--key=value` where the command has that option; leave everything else.

    Raises UsageError for a key that is nearly an option, unless such a file exists.
    """
    known = {name.removeprefix("--") for option in command.params for name in option.opts}
    spelled = []
    for arg in args:
        match = KEY_VALUE.match(arg)
        if not match or exists(arg):
            spelled.append(arg)
        elif match[1] in known:
            spelled.append(f"--{arg}")
        elif near := difflib.get_close_matches(match[1], known, n=1, cutoff=0.75):
            raise click.UsageError(
                f"no option {match[1]!r}; did you mean {near[0]}={match[2]}?",
                click.Context(command, click.get_current_context(), command.name),
            )
        else:
            spelled.append(arg)
    return spelled


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="edgepose")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Human-pose models on small devices: export, check, run."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(2)


def main() -> None:
    """Run the command line and exit with the documented code."""
    guard_streams()
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code; an unexpected exception passes through (our bug)."""
    with ctrl_c_noted() as interrupted, _warnings_in_one_line():
        try:
            code = cli.main(args=list(args), prog_name="edgepose", standalone_mode=False)
        except (click.Abort, KeyboardInterrupt):
            return _say_interrupted()
        except Exception as error:  # noqa: BLE001 - the only one: every error becomes an exit code here
            return _say_interrupted() if interrupted.is_set() else _explain(error)
    return code if isinstance(code, int) else 0


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """Print each of our own warnings once, in one line; those of libraries as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", EdgeposeWarning)
        show = warnings.showwarning

        def print_line(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, EdgeposeWarning):
                click.echo(f"warning: {_one_line(str(message))}", err=True)
            else:
                show(message, category, *place, **more)

        warnings.showwarning = print_line
        yield


def _say_interrupted() -> int:
    click.echo("edgepose: interrupted; nothing half-written was left in place", err=True)
    return 130


def _explain(error: Exception) -> int:
    """Print an error in one line and return its exit code; raise what is not an expected error."""
    match error:
        case EdgeposeError():
            click.echo(f"edgepose: {_one_line(str(error))}", err=True)
            return error.exit_code
        case click.ClickException():
            click.echo(f"edgepose: {_one_line(error.format_message())}", err=True)
            if isinstance(error, click.UsageError) and error.ctx is not None:
                click.echo(f"try: {error.ctx.command_path} --help", err=True)
            return 2
        case OSError() if error.errno in _OF_THE_SYSTEM:
            name = f"{error.filename}: " if error.filename else ""
            click.echo(f"edgepose: {_one_line(f'{name}{error.strerror}')}", err=True)
            return 2
        case _ if message := _failed_import(error):
            click.echo(f"edgepose: {message}", err=True)
            return MissingDependencyError.exit_code
        case _:
            raise error


def _failed_import(error: Exception) -> str:
    from edge.cli.health.failed_import import failed_import

    return failed_import(error)


def _one_line(text: str) -> str:
    return " ".join(text.split())
