"""A board's temporary directory: made, filled and removed over SSH, with the processes that run in it."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import IO

import msgspec

from edge.bench.measure import Case
from edge.bench.process import Worker
from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import RUNNER, write_parcel
from edge.bench.remote.ssh import OWN_ERROR, TIME_LIMIT_S, Ssh, is_own
from runtimes.artifact import Artifact
from runtimes.errors import (
    DeviceLostError,
    EngineError,
    InputError,
    MissingDependencyError,
    warn,
)
from runtimes.install.import_errors import explain_import
from runtimes.registry import ENGINES

# The shell that makes the directory holds it: where its stdin ends, by us or with the connection, it removes it.
HOLD = (
    "trap '' HUP INT TERM PIPE; umask 077; d=$(mktemp -d -t edgepose.XXXXXXXX) || exit 3; "
    'echo "$d"; cat >/dev/null; rm -rf -- "$d"'
)
DIRECTORY = re.compile(rb"(/[A-Za-z0-9._+-]+)*/edgepose\.[A-Za-z0-9]{8}\n")
NO_COMMAND = 127
LOST = re.compile(
    "closed by remote host|Connection (reset|closed)|not responding|disconnect|Broken pipe"
)
GRACE_S = 10.0
FACTS = b'{"arch": '
# what a shell's start-up files may print before an answer
MOST_LINES, MOST_LINE_BYTES = 100, 64 << 20


class Board:
    """A directory on a board, as a context manager; `python` is the command that starts Python there."""

    def __init__(self, ssh: Ssh, python: str) -> None:
        self.ssh = ssh
        self.python = python
        self.directory = ""

    def __enter__(self) -> "Board":
        self._stderr = tempfile.TemporaryFile()
        self._holder = self.ssh.start(["sh", "-c", HOLD], self._stderr)
        try:
            self.directory = self._made()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code = self._remove()
        if code:
            warn(
                f"{self.ssh.target.login}: {self.directory} is removed there as soon as its side notices the end of the"
                " connection; after a restart of the board look for it"
            )

    def send(self, artifacts: Sequence[Artifact]) -> None:
        """Send the runner and the artifacts. Raises InputError where the disk is full, DeviceLostError."""
        self.unpack(lambda stream: write_parcel(stream, artifacts), "copying the artifacts")

    def unpack(self, write: Callable[[IO[bytes]], object], step: str) -> None:
        """Unpack the tar stream that `write` writes, in the directory; step: what it is for. Raises as `send`."""
        with tempfile.TemporaryFile() as stderr:
            command = ["env", "LC_ALL=C", "tar", "-xf", "-", "-C", self.directory]
            process = self.ssh.start(command, stderr)
            # broken: tar ended, and says why
            with ending(process), contextlib.suppress(BrokenPipeError):
                write(_pipe(process.stdin))
                _pipe(process.stdin).close()
                process.wait(TIME_LIMIT_S)
            if process.returncode:
                raise self.ssh.failure(process.returncode, _text(stderr), step)

    def facts(self, engines: Sequence[str]) -> Facts:
        """Return the facts of the board; engines: import names to look for. Raises InputError without Python."""
        with tempfile.TemporaryFile() as stderr:
            process = self.ssh.start(self._command("facts", *engines), stderr)
            with ending(process):
                out, _ = process.communicate(timeout=TIME_LIMIT_S)
            if process.returncode == NO_COMMAND:
                raise InputError(
                    f"{self.ssh.target.login}: no {self.python} there; name its Python with --remote-python"
                )
            if process.returncode:
                raise self.ssh.failure(process.returncode, _text(stderr), self.python)
        try:
            return msgspec.json.decode(out[max(0, out.rfind(FACTS)) :], type=Facts)
        except msgspec.DecodeError as error:
            raise InputError(
                f"{self.ssh.target.login}: {self.python} gave no facts ({error}); is it Python 3.6 or newer?"
            ) from error

    def require_engines(self, artifacts: Sequence[Artifact], facts: Facts) -> None:
        """Raise MissingDependencyError where an artifact's engine is not installed there."""
        for artifact in artifacts:
            runtime = artifact.manifest.runtime
            names = ENGINES[runtime].packages
            if set(names) <= set(facts.missing):
                package = names[0].replace("_", "-")
                raise MissingDependencyError(
                    package,
                    runtime,
                    f"{self.ssh.target.login}: {package} is not installed for {self.python} there; "
                    f"run on it: {self.python} -m pip install {package}",
                )

    def worker(self, number: int, case: Case) -> "RemoteWorker":
        """Load the artifact of folder `number` in a process of its own there; raises as `Worker`."""
        login = self.ssh.target.login
        package = ENGINES[case.artifact.manifest.runtime].packages[0].replace("_", "-")
        try:
            return RemoteWorker(self, number, case)
        except MissingDependencyError as error:
            cause = explain_import(package, str(error))
            raise MissingDependencyError(
                package, error.extra, f"{login}: {package} cannot be loaded there: {cause}"
            ) from error
        except (InputError, EngineError) as error:
            if str(error).startswith(login):
                raise
            raise type(error)(f"{login}: {case.artifact.name}: {error}") from error

    def _command(self, *arguments: str) -> list[str]:
        # what engines leave in the temporary directory is removed with ours
        own = ["env", f"TMPDIR={self.directory}", self.python]
        return [*own, f"{self.directory}/{RUNNER.name}", *arguments]

    def _made(self) -> str:
        line = _answer(_pipe(self._holder.stdout), DIRECTORY)
        if line:
            return line.decode().rstrip("\n")
        code = _end_code(self._holder)
        raise self.ssh.failure(code, _text(self._stderr), "making a temporary directory")

    def _remove(self) -> int:
        """End the shell that holds the directory, which removes it; return its exit code."""
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._holder.stdin).close()
        try:
            self._holder.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._holder.kill()
            self._holder.wait()
        _pipe(self._holder.stdout).close()
        self._stderr.close()
        return self._holder.returncode


class RemoteWorker(Worker):
    """A `Worker` whose process runs on the board, in the engine there."""

    def __init__(self, board: Board, number: int, case: Case) -> None:
        self._board = board
        self._number = number
        super().__init__(case.artifact, case.options)

    def _start(self) -> "subprocess.Popen[bytes]":
        return self._board.ssh.start(self._board._command("serve"), self._stderr)  # noqa: SLF001 its other half

    def _root(self) -> str:
        return str(self._number)

    def _line(self, answers: IO[bytes]) -> bytes:
        return _answer(answers, re.compile(rb'\{"type": .*\}\n'))

    def _died(self) -> Exception:
        code = _end_code(self._process)
        words = _text(self._stderr)
        said = " ".join(words.split())[-300:] or "no output"
        login = self._board.ssh.target.login
        if code == OWN_ERROR and is_own(words):
            if hasattr(self, "ready") or LOST.search(words):
                return DeviceLostError(f"{login}: the board disappeared ({said})")
            return self._board.ssh.failure(code, words, "the benchmark")
        return EngineError(
            f"{login}: the process that ran {self.artifact.name} there ended ({said}); is there enough memory?"
        )


def _answer(lines: IO[bytes], pattern: re.Pattern[bytes]) -> bytes:
    """Return the first line that is an answer, b"" where none comes."""
    for _ in range(MOST_LINES):
        line = lines.readline(MOST_LINE_BYTES)
        if not line or pattern.fullmatch(line):
            return line
    return b""


@contextlib.contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End the process with the block, however that ends; raises DeviceLostError where the block waits in vain."""
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise DeviceLostError(f"the board gave no answer within {TIME_LIMIT_S:.0f} s") from error
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()


def _end_code(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit code of a process that gave no answer; one that goes on without is killed."""
    try:
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("a command on a board needs pipes")
    return pipe


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(1 << 16).decode(errors="replace")
