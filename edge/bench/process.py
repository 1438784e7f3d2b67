"""The parent's side of a measured process: started, asked, ended, and its death explained."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from edge.bench.worker import Answer, Burst, Failed, Open, Ready, Request, Timed
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.errors import ArtifactError, EdgeposeError, EngineError, InputError

COMMAND = (sys.executable, "-m", "edge.bench.worker")
GRACE_S = 5.0
LAST_WORDS = 300  # characters of its stderr
# the worker's errors by name; what is not here is an engine's
ERRORS: dict[str, type[EdgeposeError]] = {
    each.__name__: each for each in (InputError, ArtifactError, EngineError)
}

Reply = TypeVar("Reply", Ready, Timed)


class Worker:
    """One artifact loaded in a process of its own; a context manager, whose end ends the process.

    `ready` says how the artifact was loaded. Raises what the worker met: InputError for options that the engine does
    not have, EngineError for a file it refuses, and for a process that died.
    """

    def __init__(self, artifact: Artifact, options: RunOptions) -> None:
        self.artifact = artifact
        self.options = options
        # A pipe that nobody reads would fill up and stop the worker.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 closed in close()
        # Our own folder as working directory: `-m` finds the same `edge`, and none that lies where the user stands.
        self._process = subprocess.Popen(  # noqa: S603 our own module, no shell
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            cwd=Path(__file__).resolve().parents[2],
        )
        try:
            self.ready = self._load()
        except BaseException:
            self._process.kill()
            self.close()
            raise

    def burst(self, seconds: float, least_runs: int) -> Timed:
        """Have it run once untimed, then for `seconds` and at least `least_runs` times; wait for its times."""
        return self._ask(Burst(seconds=seconds, least_runs=least_runs), Timed)

    def close(self) -> None:
        """End the process: by closing its stdin, by force where it does not heed that."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            # broken: it died before it read what we last wrote
            with contextlib.suppress(BrokenPipeError):
                if pipe:
                    pipe.close()
        try:
            process.wait(GRACE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()
        self._said.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self._process.kill()  # a burst may go on for long
        self.close()

    def _load(self) -> Ready:
        options = self.options
        order = Open(
            root=str(self.artifact.root.resolve()),
            threads=options.threads,
            precision=options.precision,
            accelerator=options.accelerator,
        )
        return self._ask(order, Ready)

    def _ask(self, request: Request, wanted: type[Reply]) -> Reply:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise ValueError("a worker is started with pipes")
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            raise self._died()
        answer = msgspec.json.decode(line, type=Answer)
        if isinstance(answer, Failed):
            raise ERRORS.get(answer.error, EngineError)(answer.message)
        if not isinstance(answer, wanted):
            raise EngineError(f"{self.artifact.root}: its process answered out of turn: {answer}")
        return answer

    def _died(self) -> EngineError:
        code = self._process.wait()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._said.seek(0)
        words = " ".join(self._said.read().decode(errors="replace").split())[-LAST_WORDS:]
        return EngineError(
            f"{self.artifact.root}: the process that ran it ended {how} ({words or 'it said nothing'}); "
            "is there memory enough? try it alone, or with `edgepose verify`"
        )
