"""A module of ours run on a foreign file in a process of its own, which alone ends where an engine crashes."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

from devices.detect import detect_machine
from runtimes.errors import EngineError

TIME_LIMIT_S = 900.0
LAST_WORDS = 300  # characters


def run_apart(
    module: str, arguments: tuple[str, ...], outcome: Path, about: str, engine: str
) -> bytes:
    """Run `python -m module arguments` and return the bytes that it left in the file `outcome`.

    about: the file or directory, and engine: who reads it, for messages. Raises EngineError where the process crashes,
    does not end, or leaves nothing.
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
    return outcome.read_bytes()


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
