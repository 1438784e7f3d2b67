"""A board's temporary directory: made, filled and removed over SSH, with the processes that run in it."""

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from edge.bench.measure import Case
from edge.bench.process import Worker
from edge.bench.remote.facts import Facts
from edge.bench.remote.parcel import RUNNER, write_parcel
from edge.bench.remote.ssh import OWN_ERROR, TIME_LIMIT_S, Ssh, is_own, quoted
from edge.bench.remote.streams import Holder, answer, end_code, pipe_of, read_all, text_of
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
FACTS = b'{"arch": '


class Board:
    """A directory on a board, as a context manager; `python` is the command that starts Python there."""

    def __init__(self, ssh: Ssh, python: str) -> None:
        self.ssh = ssh
        self.python = python
        self.directory = ""

    def __enter__(self) -> "Board":
        self._holder = Holder(lambda stderr: self.ssh.start(["sh", "-c", HOLD], stderr))
        try:
            self.directory = self._made()
        except BaseException:
            self._holder.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code, _ = self._holder.end()
        if code:
            warn(
                f"{self.ssh.target.login}: {self.directory} is removed there as soon as its side notices the end of the"
                " connection; after a restart of the board look for it"
            )

    def send(self, artifacts: Sequence[Artifact], programs: Sequence[Path] = (RUNNER,)) -> None:
        """Send programs and the artifacts. Raises InputError where the disk is full, DeviceLostError."""
        self.unpack(lambda stream: write_parcel(stream, artifacts, programs), "copying files")

    def unpack(self, write: Callable[[IO[bytes]], object], step: str) -> None:
        """Unpack the tar stream that `write` writes, in the directory; step: what it is for. Raises as `send`."""
        with tempfile.TemporaryFile() as stderr:
            command = ["env", "LC_ALL=C", "tar", "-xf", "-", "-C", self.directory]
            process = self.ssh.start(command, stderr)
            # broken: tar ended, and says why
            with ending(process), contextlib.suppress(BrokenPipeError):
                write(pipe_of(process.stdin))
                pipe_of(process.stdin).close()
                process.wait(TIME_LIMIT_S)
            if process.returncode:
                raise self._failure(process.returncode, text_of(stderr), step)

    def facts(self, engines: Sequence[str]) -> Facts:
        """Return the facts of the board; engines: import names to look for. Raises InputError without Python."""
        out = self.output(RUNNER, ["facts", *engines])
        try:
            return msgspec.json.decode(out[max(0, out.rfind(FACTS)) :], type=Facts)
        except msgspec.DecodeError as error:
            raise InputError(
                f"{self.ssh.target.login}: {self.python} gave no facts ({error}); is it Python 3.6 or newer?"
            ) from error

    def output(
        self,
        program: Path,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> bytes:
        """Return what a program that was sent prints to stdout. Raises InputError without Python, or where it fails."""
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        command = self._command(program, arguments, variables)
        process = self.ssh.start(command, subprocess.PIPE)
        with ending(process):
            said = read_all(process, time_limit_s)
        login = self.ssh.target.login
        if not said.whole:
            raise InputError(f"{login}: {self.python} prints without end there; is it a Python?")
        if process.returncode == NO_COMMAND:
            raise InputError(
                f"{login}: no {self.python} there; name its Python with --remote-python"
            )
        if process.returncode:
            words = said.err.decode(errors="replace")
            raise self._failure(process.returncode, words, self.python)
        return said.out

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
                    f"run on it: {quoted(self.python)} -m pip install {package}",
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

    def _command(
        self, program: Path, arguments: Sequence[str], variables: Sequence[str] = ()
    ) -> list[str]:
        # what engines leave in the temporary directory is removed with ours
        own = ["env", f"TMPDIR={self.directory}", *variables, self.python]
        return [*own, f"{self.directory}/{program.name}", *arguments]

    def _failure(self, code: int, stderr: str, step: str) -> Exception:
        """Return the error for a command that ended with `code`; step: what it was to do."""
        if code != OWN_ERROR and self._holder.ended:
            return DeviceLostError(
                f"{self.ssh.target.login}: the connection was lost, and with it the directory there"
            )
        return self.ssh.failure(code, stderr, step)

    def _made(self) -> str:
        line = self._holder.made(DIRECTORY)
        if not line:
            code, said, _ = self._holder.failure()
            raise self.ssh.failure(code, said, "making a temporary directory")
        return line.decode().rstrip("\n")


class RemoteWorker(Worker):
    """A `Worker` whose process runs on the board, in the engine there."""

    def __init__(self, board: Board, number: int, case: Case) -> None:
        self._board = board
        self._number = number
        super().__init__(case.artifact, case.options)

    def _start(self) -> "subprocess.Popen[bytes]":
        command = self._board._command(RUNNER, ["serve"])  # noqa: SLF001 its other half
        return self._board.ssh.start(command, self._stderr)

    def _root(self) -> str:
        return str(self._number)

    def _line(self, answers: IO[bytes]) -> bytes:
        return answer(answers, re.compile(rb'\{"type": .*\}\n'))

    def _died(self) -> Exception:
        code = end_code(self._process)
        words = text_of(self._stderr)
        said = " ".join(words.split())[-300:] or "no output"
        login = self._board.ssh.target.login
        if code == OWN_ERROR and is_own(words):
            if hasattr(self, "ready") or LOST.search(words):
                return DeviceLostError(f"{login}: the board disappeared ({said})")
            return self._board.ssh.failure(code, words, "the benchmark")
        return EngineError(
            f"{login}: the process that ran {self.artifact.name} there ended ({said}); is there enough memory?"
        )


@contextlib.contextmanager
def ending(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """End the process with the block, however that ends; raises DeviceLostError where the block waits in vain."""
    try:
        yield
    except subprocess.TimeoutExpired as error:
        raise DeviceLostError(f"the board gave no answer within {error.timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
