"""Android's adb, called with lists of arguments: one quoted command string for the phone's shell, its errors in words.

The user's adb is used, with its server and its keys: nothing is allowed on the phone on the user's behalf.
"""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
    """How a command on the phone ended, and what it printed on stdout and stderr together."""

    code: int
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
        done = self._call(["get-state"], ANSWER_S)
        said = " ".join((done.stdout + done.stderr).split())
        if done.returncode or done.stdout.strip() != "device":
            state = done.stdout.strip()
            cause = self.cause(f"device {state} {done.stderr}")
            raise InputError(
                f"adb:{self.serial}: {cause or f'it is no running phone ({said[-TAIL:]})'}"
            )

    def run(self, command: str, limit_s: float = ANSWER_S) -> Done:
        """Run a command line of the phone's shell. Raises DeviceLostError where its end is not heard of."""
        # old phones neither pass on exit codes nor keep stderr apart
        done = self._call(["shell", f'( {command} ) 2>&1; echo "{EXIT}$?"'], limit_s)
        text = done.stdout.replace("\r\n", "\n")
        found = re.search(rf"{EXIT}(\d+)\s*\Z", text)
        if not found:
            raise self.lost(done.stderr or text)
        return Done(int(found[1]), text[: found.start()])

    def push(self, sources: Sequence[Path], target: str) -> None:
        """Copy files to a file or a folder. Raises InputError where the phone is full, DeviceLostError."""
        done = self._call(["push", *(str(each.resolve()) for each in sources), target], PUSH_S)
        if done.returncode == 0:
            return
        said = done.stderr + done.stdout
        if FULL.search(said):
            raise InputError(
                f"adb:{self.serial}: its storage is full; make room there (adb shell df /data shows it)"
            )
        if self.cause(said) or self._state() != "device":
            raise self.lost(said)
        raise InputError(f"adb:{self.serial}: copying failed ({' '.join(said.split())[-TAIL:]})")

    def start(self, command: str, stderr: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a command line of the phone's shell with pipes to its stdin and stdout."""
        try:
            # a session of its own: Ctrl-C reaches us, and we end it
            return subprocess.Popen(  # noqa: S603 no shell here
                self.argv("shell", command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingDependencyError("adb", "", NOT_INSTALLED) from error

    def cause(self, said: str) -> str:
        """Return what keeps adb from the phone and what to do; "" where the reason is no known one."""
        return next((what for pattern, what in CAUSES if re.search(pattern, said)), "")

    def lost(self, said: str) -> DeviceLostError:
        """Return the error for a phone that gave no answer."""
        words = " ".join(said.split())[-TAIL:] or "no output"
        return DeviceLostError(f"adb:{self.serial}: the phone disappeared ({words})")

    def _state(self) -> str:
        return self._call(["get-state"], ANSWER_S).stdout.strip()

    def _call(self, arguments: Sequence[str], limit_s: float) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(  # noqa: S603 no shell here
                self.argv(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=limit_s,
                start_new_session=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise MissingDependencyError("adb", "", NOT_INSTALLED) from error
        except subprocess.TimeoutExpired as error:
            raise DeviceLostError(
                f"adb:{self.serial}: the phone gave no answer within {limit_s:.0f} s"
            ) from error
