"""A run on a board: what it needs is sent, results and messages come back while it runs, nothing stays there."""

import codecs
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click
import msgspec

from edge.bench.remote.board import Board, ending
from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import write_parcel
from edge.bench.remote.ssh import OWN_ERROR, Ssh, quoted
from edge.cli.console import NO_HINT, say, silence_stdout
from edge.cli.outputs import STDOUT, Outputs
from edge.cli.remote.frames import (
    Err,
    Exit,
    File,
    Frame,
    FrameReader,
    Job,
    Out,
    Placed,
    can_name,
)
from edge.cli.remote.parcel import AGENT, COPY, Parcel, artifact_files
from edge.cli.remote.receiver import Receiver, Target, TextFilter
from edge.cli.remote.sources import files_of, neighbours_of
from edge.cli.running.plan import Plan
from edge.cli.running.setup import targets_of
from edge.cli.signals import Stop, stop_asked
from edge.media.paths import is_folder
from edge.types import counted
from runtimes.artifact import Artifact
from runtimes.errors import DeviceLostError, EngineError, InputError, MissingDependencyError
from runtimes.registry import ENGINES
from runtimes.spec import Runtime

OLDEST = (3, 10)
# what edgepose imports for a run: module and package
NEEDED = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "msgspec": "msgspec",
    "click": "click",
    "rich": "rich",
}
LOOK_S = 0.2
PIECE = 1 << 20
SAID = 300  # characters of an error


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """A checked run. asked: sources as the user names them; arguments: of `edgepose run` on the board, all of them."""

    asked: Sequence[str]
    plan: Plan
    outputs: Outputs
    artifacts: Sequence[Artifact]
    arguments: Sequence[str]
    force: bool


def run_remote(ssh: Ssh, python: str, run: RemoteRun) -> int:
    """Run on the board and return the run's exit code; the board's directory is removed however this ends.

    Raises InputError for a board that cannot be reached, has no room or too old a Python, MissingDependencyError
    where a package is missing there, DeviceLostError where it disappears: what had arrived is kept.
    """
    parcel = _parcel(run)
    login = ssh.target.login
    with Board(ssh, python) as board:
        board.unpack(lambda stream: write_parcel(stream, ()), "copying the first file")
        runtimes = dict.fromkeys(each.manifest.runtime for each in run.artifacts)
        engines = [name for each in runtimes for name in ENGINES[each].packages]
        facts = board.facts([*NEEDED, *engines])
        _require_python(facts, python, login, runtimes)
        board.require_engines(run.artifacts, facts)
        say(f"sending {counted(len(parcel.files), 'file')} ({parcel.size / 1e6:.1f} MB) to {login}")
        board.unpack(parcel.write, "copying the files")
        return _run(board, run)


def _parcel(run: RemoteRun) -> Parcel:
    """Return what to send; videos whose results are complete here are sent by name alone."""
    outputs = [each for each in run.outputs.given if each != STDOUT]
    names = neighbours_of(run.asked)
    if run.plan.way == "batch":
        todo = [
            each.source
            for each in run.plan.sources
            if run.force or targets_of(run.outputs, each).unfinished().given
        ]
        files = [Path(each) for each in todo if Path(each).is_file()]
        names += [Path(each.source) for each in run.plan.sources if Path(each.source).is_file()]
        if not run.force:
            names += [each for path in outputs if path.is_dir() for each in path.iterdir()]
    else:
        files = files_of(run.asked)
    _require_names(files)
    folders = [Path.cwd(), *(path.parent for path in outputs)]
    folders += [each for each in (*outputs, *names) if is_folder(each)]
    sent = {os.path.abspath(path) for path in files}  # noqa: PTH100
    rest = [each for each in names if each.is_file() and os.path.abspath(each) not in sent]  # noqa: PTH100
    files += [path for each in run.artifacts for path in artifact_files(each)]
    return Parcel(files, folders, rest)


def _require_names(files: Iterable[Path]) -> None:
    """Raise where results, which are named like their sources, could not come back."""
    for path in files:
        if not can_name(path.name):
            raise InputError(
                f"{str(path)!r}: --remote sends no file whose name has control characters; rename it"
            )


def _require_python(facts: Facts, python: str, login: str, runtimes: Iterable[Runtime]) -> None:
    """Raise where the board's Python is too old, or lacks what edgepose imports."""
    version = tuple(int(part) for part in facts.python.split(".")[:2] if part.isdecimal())
    if version < OLDEST:
        raise InputError(
            f"{login}: {python} there is Python {facts.python}; run needs {'.'.join(map(str, OLDEST))} or newer: "
            "name one with --remote-python (bench --remote needs 3.6)"
        )
    missing = [package for name, package in NEEDED.items() if name in facts.missing]
    if missing:
        # all in one line; engines alone are the board's own check
        engines = [ENGINES[each].packages for each in runtimes]
        missing += [
            names[0].replace("_", "-") for names in engines if set(names) <= set(facts.missing)
        ]
        raise MissingDependencyError(
            missing[0],
            "",
            f"{login}: {', '.join(missing)} not installed for {python} there; "
            f"run on it: {quoted(python)} -m pip install {' '.join(missing)}",
        )


def _run(board: Board, run: RemoteRun) -> int:
    copy = f"{board.directory}/{COPY}"
    outputs = [each for each in run.outputs.given if each != STDOUT]
    targets = [Target(each, lines=each == run.outputs.jsonl) for each in outputs]
    terminal = _terminal()
    job = Job(
        arguments=list(run.arguments),
        cwd=copy + str(Path.cwd()),
        outputs=[copy + os.path.abspath(each) for each in outputs],  # noqa: PTH100
        many=run.plan.way != "one",
        environment={
            NO_HINT: "1",  # its commands would lack the board
            **({"TERM": os.environ.get("TERM", "dumb")} if terminal else {}),
        },
        terminal=terminal,
    )
    command = ["env", f"TMPDIR={board.directory}", board.python, f"{board.directory}/{AGENT.name}"]
    with (
        stop_asked() as stop,
        tempfile.TemporaryFile() as stderr,
        Receiver(targets, run.plan.way, copy) as receiver,
    ):
        process = board.ssh.start(command, stderr)
        with ending(process):
            try:
                code = _follow(process, msgspec.json.encode(job), receiver, stop)
            except EngineError as error:
                raise EngineError(
                    f"{board.ssh.target.login}: {error}; {_kept(receiver)}"
                ) from error
        if code is None:
            _raise_lost(board.ssh, process, stderr, receiver)
    if code is not None and code < 0:
        if (
            stop.is_set() and 128 - code == stop.exit_code
        ):  # while it started, before it could end by itself
            say("edgepose: interrupted; nothing half-written was left in place")
            return stop.exit_code
        raise EngineError(
            f"{board.ssh.target.login}: the run there was ended by {signal.Signals(-code).name};"
            " is there enough memory?"
        )
    if code not in {None, 0, stop.exit_code}:
        begun = ", ".join(map(str, receiver.begun))
        kept = f"; what it had written is kept, partial: {begun}" if begun else ""
        say(f"that was on {board.ssh.target.login}, whose run ended with exit code {code}{kept}")
    return code or 0


def _terminal() -> tuple[int, int] | None:
    try:
        columns, lines = os.get_terminal_size(sys.stderr.fileno())
    except OSError:
        return None
    return columns, lines


class _Console:
    """The board's stdout and stderr, printed here; unread: stdout has lost its reader, as of `| head -1`."""

    def __init__(self, copy: str) -> None:
        self.unread = False
        self._filters = {err: TextFilter(copy) for err in (False, True)}
        self._decoders = {
            err: codecs.getincrementaldecoder("utf-8")("replace") for err in (False, True)
        }

    def write(self, data: bytes, *, err: bool) -> None:
        """Print what is certain."""
        text = self._decoders[err].decode(self._filters[err].feed(data))
        try:
            click.echo(text, nl=False, err=err)
        except BrokenPipeError:
            silence_stdout()
            self.unread = True

    def end(self) -> None:
        """Print what was held back."""
        for err in (False, True):
            text = self._decoders[err].decode(self._filters[err].rest(), final=True)
            click.echo(text, nl=False, err=err)


def _follow(
    process: "subprocess.Popen[bytes]", job: bytes, receiver: Receiver, stop: Stop
) -> int | None:
    """Start the job, take what it sends and pass signals on; return its exit code, None where the connection ended."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("a command on a board needs pipes")
    console, reader = _Console(receiver.copy), FrameReader()
    _send(process.stdin, job)
    code, told = None, False
    while code is None:
        if stop.is_set() and not told:
            told = True
            _send(process.stdin, msgspec.json.encode({"signal": stop.exit_code - 128}))
        if not select.select([process.stdout], [], [], LOOK_S)[0]:
            continue
        data = os.read(process.stdout.fileno(), PIECE)
        if not data:
            break
        for frame, content in reader.feed(data):
            code = _take(frame, content, console, receiver)
        if console.unread:
            stop.ask(signal.SIGINT)
    console.end()
    return 0 if console.unread and code == stop.exit_code else code


def _take(frame: Frame, content: bytes, console: _Console, receiver: Receiver) -> int | None:
    """Print or write what a frame brings; return the exit code that the last one has."""
    match frame:
        case Exit():
            return frame.code
        case File():
            receiver.file(frame, content)
        case Placed():
            receiver.placed(frame)
        case Out() | Err():
            console.write(content, err=isinstance(frame, Err))
    return None


def _send(stdin: IO[bytes], line: bytes) -> None:
    with suppress(BrokenPipeError):  # the end of its stdout says so too
        stdin.write(line + b"\n")
        stdin.flush()


def _raise_lost(
    ssh: Ssh, process: "subprocess.Popen[bytes]", stderr: IO[bytes], receiver: Receiver
) -> None:
    """Raise the error of a connection that ended before the run, after what has arrived was kept."""
    kept = _kept(receiver)
    stderr.seek(0)
    said = " ".join(stderr.read(PIECE).decode(errors="replace").split())[-SAID:] or "no output"
    login = ssh.target.login
    problem = ssh.problem(said) if process.returncode == OWN_ERROR else ""
    raise DeviceLostError(
        (problem or f"{login}: the board disappeared, or the run there was killed ({said})")
        + f"; {kept}"
    )


def _kept(receiver: Receiver) -> str:
    """Keep what has arrived of a run that has no end, and say what that is."""
    kept = ", ".join(map(str, receiver.keep()))
    return f"what had arrived is kept, partial: {kept}" if kept else "no result had arrived"
