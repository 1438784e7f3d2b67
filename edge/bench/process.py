"""The parent's side of a benchmark process: start, requests, end, and the error where it dies."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from edge.bench.worker import Answer, Burst, Failed, Open, Ready, Request, Timed
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import (
    ArtifactError,
    EdgeposeError,
    EngineError,
    InputError,
    MissingDependencyError,
)

COMMAND = (sys.executable, "-m", "edge.bench.worker")
GRACE_S = 5.0
STDERR_TAIL = 300  # characters
# the worker's errors by name; others become EngineError
ERRORS: dict[str, type[EdgeposeError]] = {
    each.__name__: each for each in (InputError, ArtifactError, EngineError)
}

Reply = TypeVar("Reply", Ready, Timed)


class Worker:
    """One artifact loaded in its own process; a context manager that ends the process.

    `ready` has the options in effect. Raises the worker's errors: InputError for options that the engine does not
    have, EngineError for a file that it refuses, and for a process that died. images: in each run.
    """

    def __init__(self, artifact: Artifact, options: RunOptions, images: int = 1) -> None:
        self.artifact = artifact
        self.options = options
        self.images = images
        # a pipe that is not read would fill up and block the worker
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 closed in close()
        self._process = self._start()
        try:
            self.ready = self._load()
        except BaseException:
            self._process.kill()
            self.close()
            raise

    def burst(self, seconds: float, least_runs: int, most_s: float | None = None) -> Timed:
        """Run once untimed, then for `seconds` and at least `least_runs` times, `most_s` at most; return the times."""
        return self._ask(Burst(seconds=seconds, least_runs=least_runs, most_s=most_s), Timed)

    def close(self) -> None:
        """End the process by closing its stdin, or else by killing it."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            # broken: it died before it read our last request
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
        try:
            process.wait(GRACE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        self._stderr.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self._process.kill()  # a burst may be long
        self.close()

    def _start(self) -> "subprocess.Popen[bytes]":
        # our parent folder as working directory: `-m` finds this `edge`, not one in the user's directory
        return subprocess.Popen(  # noqa: S603 our own module, no shell
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=Path(__file__).resolve().parents[2],
        )

    def _root(self) -> str:
        return str(self.artifact.root.resolve())

    def _line(self, answers: IO[bytes]) -> bytes:
        return answers.readline()

    def _load(self) -> Ready:
        options = self.options
        order = Open(
            root=self._root(),
            threads=options.threads,
            precision=options.precision,
            accelerator=options.accelerator,
            requests=options.requests,
            images=self.images,
            extra=dict(options.extra),
        )
        return self._ask(order, Ready)

    def _ask(self, request: Request, wanted: type[Reply]) -> Reply:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker needs pipes")
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
            line = self._line(process.stdout)
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._died()
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.DecodeError as error:
            raise EngineError(
                f"{self.artifact.root}: unreadable answer of its process ({error})"
            ) from error
        if isinstance(answer, Failed):
            if answer.error == MissingDependencyError.__name__:
                runtime = self.artifact.manifest.runtime
                raise MissingDependencyError(runtime, runtime, answer.message)
            raise ERRORS.get(answer.error, EngineError)(answer.message)
        if not isinstance(answer, wanted):
            raise EngineError(f"{self.artifact.root}: unexpected answer of its process: {answer}")
        return answer

    def _died(self) -> Exception:
        code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._stderr.seek(0)
        words = " ".join(self._stderr.read().decode(errors="replace").split())[-STDERR_TAIL:]
        return EngineError(
            f"{self.artifact.root}: the process that ran it ended {how} ({words or 'no output'}); "
            "is there enough memory? run it alone, or with `edgepose verify`"
        )
