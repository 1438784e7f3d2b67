"""Android's adb, called with lists of arguments: one quoted command string for the phone's shell, its errors in words.

The user's adb is used, with its server and its keys: nothing is allowed on the phone on the user's behalf.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge.bench.remote.streams import Printed, read_all
from runtimes.errors import DeviceLostError, InputError, MissingDependencyError

ANSWER_S = 30.0
PUSH_S = 600.0
TAIL = 300
EXIT = "@edgepose exit "
NOT_INSTALLED = (
    "adb is not installed; run: apt install adb, or put Android's platform-tools on the PATH"
)

# what adb says (packages/modules/adb/transport.cpp and client/): what to do. The first that is found counts.
CAUSES = (
    (
        "unauthorized|still authorizing",
        "it has not allowed this computer; unlock it and confirm its question about USB debugging",
    ),
    ("device offline", "it is offline; plug it in again, or run: adb reconnect offline"),
    (
        "not found|no devices",
        "no such device; adb devices lists those that there are, and USB debugging must be on",
    ),
    (
        "no permissions|insufficient permissions",
        (
            "this user may not open its USB port; run: apt install android-sdk-platform-tools-common, log in again, and"
            " plug it in again"
        ),
    ),
    (
        "cannot connect to daemon|failed to start daemon|failed to check server version",
        "the adb server does not run; run: adb start-server",
    ),
)
FULL = re.compile("No space left on device|Disk quota exceeded")


@dataclass(frozen=True, slots=True)
class Done:
    """How a command on the phone ended, and what it printed on stdout and stderr together.

    code: None where it printed more than is read, and was given up.
    """

    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Adb:
    """adb for one phone; raises MissingDependencyError where adb is not installed."""

    serial: str

    def argv(self, *arguments: str) -> list[str]:
        """Return adb's arguments."""
        return ["adb", "-s", self.serial, *arguments]

    def require_ready(self) -> None:
        """Raise InputError where the phone cannot be used, with the remedy."""
        code, done = self._call(["get-state"], ANSWER_S)
        state, problem = _text(done.out).strip(), _text(done.err)
        said = " ".join(f"{state} {problem}".split())
        if code or state != "device":
            cause = self.cause(f"device {state} {problem}")
            raise InputError(
                f"adb:{self.serial}: {cause or f'it is no running phone ({said[-TAIL:]})'}"
            )

    def run(self, command: str, limit_s: float = ANSWER_S) -> Done:
        """Run a command line of the phone's shell. Raises DeviceLostError where its end is not heard of."""
        # old phones neither pass on exit codes nor keep stderr apart
        _, done = self._call(["shell", f'( {command} ) 2>&1; echo "{EXIT}$?"'], limit_s)
        text = _text(done.out)
        if not done.whole:
            return Done(None, text)
        found = re.search(rf"{EXIT}(\d+)\s*\Z", text)
        if not found:
            raise self.lost(_text(done.err) or text)
        return Done(int(found[1]), text[: found.start()])

    def push(self, sources: Sequence[Path], target: str) -> None:
        """Copy files to a file or a folder. Raises InputError where the phone is full, DeviceLostError."""
        paths = [str(each.resolve()) for each in sources]
        code, done = self._call(["push", *paths, target], PUSH_S)
        if code == 0:
            return
        said = _text(done.err + done.out)
        if FULL.search(said):
            raise InputError(
                f"adb:{self.serial}: its storage is full; make room there"
                f" (adb -s {self.serial} shell df /data shows it)"
            )
        if self.cause(said) or self._state() != "device":
            raise self.lost(said)
        raise InputError(f"adb:{self.serial}: copying failed ({' '.join(said.split())[-TAIL:]})")

    def start(self, command: str, stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a command line of the phone's shell with pipes to its stdin and stdout."""
        return self._start(["shell", command], subprocess.PIPE, stderr)

    def cause(self, said: str) -> str:
        """Return what keeps adb from the phone and what to do; "" where the reason is no known one."""
        return next((what for pattern, what in CAUSES if re.search(pattern, said)), "")

    def lost(self, said: str) -> DeviceLostError:
        """Return the error for a phone that gave no answer."""
        words = " ".join(said.split())[-TAIL:] or "no output"
        return DeviceLostError(f"adb:{self.serial}: the phone disappeared ({words})")

    def _state(self) -> str:
        return _text(self._call(["get-state"], ANSWER_S)[1].out).strip()

    def _call(self, arguments: Sequence[str], limit_s: float) -> tuple[int, Printed]:
        """Run adb and return its exit code and what it printed; where that is too much, adb is ended."""
        with self._start(arguments, subprocess.DEVNULL, subprocess.PIPE) as process:
            try:
                said = read_all(process, limit_s)
            except subprocess.TimeoutExpired as error:
                raise DeviceLostError(
                    f"adb:{self.serial}: the phone was not done within {limit_s:.0f} s"
                ) from error
            finally:
                process.kill()
        return process.returncode, said

    def _start(
        self, arguments: Sequence[str], stdin: int, stderr: IO[bytes] | int
    ) -> "subprocess.Popen[bytes]":
        try:
            # a session of its own: Ctrl-C reaches us, and we end it
            return subprocess.Popen(  # noqa: S603 no shell here
                self.argv(*arguments),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingDependencyError("adb", "", NOT_INSTALLED) from error


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
