"""A module of ours run on a foreign file in a process of its own, which alone ends where an engine crashes."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from devices.detect import detect_machine
from runtimes.errors import ArtifactError, EdgeposeError, EngineError, InputError
from runtimes.record import Record

TIME_LIMIT_S = 900.0
LAST_WORDS = 300  # characters
# the process's errors by name; others become EngineError
ERRORS: dict[str, type[EdgeposeError]] = {
    each.__name__: each for each in (InputError, ArtifactError, EngineError)
}

Answer = TypeVar("Answer", bound=Record)


class Failed(Record, frozen=True, kw_only=True, tag="failed"):
    """One of our errors, by the name of its class."""

    error: str
    message: str


def run_apart(
    module: str,
    arguments: tuple[str, ...],
    outcome: Path,
    about: str,
    engine: str,
    kind: type[Answer],
) -> Answer:
    """Run `python -m module arguments` and return what it left in the file `outcome` with `leave_outcome`.

    kind: of the answer, a tagged record. about: the file or directory, and engine: who reads it, for messages. Raises
    the error of ours that the process ended with, and EngineError where it crashes, does not end, or leaves nothing.
    """
    try:
        # our parent folder as working directory: `-m` finds this `export`, not one in the user's directory
        done = subprocess.run(  # noqa: S603 our own module, no shell
            (sys.executable, "-m", module, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=Path(__file__).resolve().parents[1],
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(
            f"{about}: {engine} did not end within {TIME_LIMIT_S:.0f} s; is the file damaged?"
        ) from error
    if done.returncode or not outcome.exists():
        raise _died(about, engine, done)
    answer: Answer | Failed = msgspec.json.decode(outcome.read_bytes(), type=kind | Failed)
    if isinstance(answer, Failed):
        raise ERRORS.get(answer.error, EngineError)(answer.message)
    return answer


def leave_outcome(outcome: Path, work: Callable[[], Record]) -> None:
    """Do the work, confined, and write its answer or our error to the file `outcome`, for `run_apart`."""
    confine()
    answer: Record
    try:
        answer = work()
    except EdgeposeError as error:
        answer = Failed(error=type(error).__name__, message=str(error))
    outcome.write_bytes(msgspec.json.encode(answer))


def confine() -> None:
    """Keep this process within the machine's memory, and from core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory := detect_machine().memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _died(about: str, engine: str, done: subprocess.CompletedProcess[bytes]) -> EngineError:
    code = done.returncode
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    words = " ".join(done.stderr.decode(errors="replace").split())[-LAST_WORDS:]
    return EngineError(
        f"{about}: the process that ran it in {engine} ended {how}: the file is damaged, "
        f"or there is too little memory; convert it again ({words or 'no output'})"
    )
