"""OpenSSH's client, called with lists of arguments: options, one quoted command string, and its errors in words.

Host keys must be known, and no password is asked for: an agent, a key or ~/.ssh/config logs in. Nothing is accepted
or stored on the user's behalf.
"""

import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import IO

from edge.bench.remote.target import Target
from runtimes.errors import DeviceLostError, EngineError, InputError, MissingDependencyError

OPTIONS = (
    *("-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=10"),
    # a board that disappears is noticed within 15 s
    *("-o", "ServerAliveInterval=5"),
    *("-o", "ServerAliveCountMax=3"),
    *("-o", "ClearAllForwardings=yes"),
    "-T",
)
PYTHON = "python3"  # where --remote-python names no other
OWN_ERROR = 255  # ssh's exit code where it failed itself; others are the remote command's
TIME_LIMIT_S = 120.0
TAIL = 300

# what ssh says: what to do, with commands to paste: {ssh} logs in as we do, {copy} installs a key, {forget} drops the
# host's old key. The first that is found counts.
CAUSES = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        (
            "its host key has changed: another machine may answer in its place. If the board was reinstalled, run:"
            " {forget}, then {ssh} once, and compare the fingerprint"
        ),
    ),
    (
        "Host key verification failed|host key is known",
        "its host key is not known here; run {ssh} once and compare the fingerprint",
    ),
    ("Could not resolve hostname", "no such host; check the name"),
    (
        "Permission denied|Too many authentication failures",
        "it refuses the login, which must need no password; set up a key: {copy}",
    ),
    (
        "Connection refused",
        "no SSH server answers there; start it on the board, or name its port: ssh:USER@HOST:PORT",
    ),
    ("timed out|No route to host|Network is unreachable", "it cannot be reached; is it on?"),
)
# How lines of ssh's own begin. It ends with 255 too where a signal ended the remote command, which may have said
# anything before.
_OWN_LINE = re.compile(
    r"^(ssh: |ssh_\w+: |kex_\w+: |client_loop: |packet_write_\w+: |banner exchange: |mux\w*: |channel \d+: "
    r"|Connection (to \S+ closed|closed by|reset by|timed out)|Read from remote host |Write failed: "
    r"|Timeout, server \S+ not responding|(Received disconnect|Disconnect(ed|ing)) |Host key verification failed"
    r"|No \S+ host key is known|\S+: Permission denied \(|Unable to negotiate |Corrupted MAC |Bad packet "
    r"|Bad owner or permissions on |\S+: (line \d+: Bad|terminating, )|@ +WARNING: )",
    re.MULTILINE,
)


_KEY_FILE = re.compile(r"^Offending \S+ key in (.+):\d+\s*$", re.MULTILINE)
_KEY_NAME = re.compile(r"^(?:Host key for|\S+ host key for) (\S+) has changed", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Ssh:
    """A target, and a configuration file in place of the user's (`ssh -F`)."""

    target: Target
    config: Path | None = None

    def argv(self, command: Sequence[str]) -> list[str]:
        """Return the arguments that run `command` there; it is quoted for the remote shell as one string.

        A word that begins with `~/` is below the home directory there.
        """
        login = self.target.login
        return ["ssh", *self._where(), *OPTIONS, "--", login, " ".join(map(quoted, command))]

    def _where(self) -> list[str]:
        """Return the options of OpenSSH's tools that name the configuration and the port."""
        chosen = ["-F", str(self.config)] if self.config else []
        return [*chosen, *(["-p", str(self.target.port)] if self.target.port else [])]

    def start(self, command: Sequence[str], stderr: IO[bytes] | int) -> "subprocess.Popen[bytes]":
        """Start a command with pipes to its stdin and stdout; stderr: as subprocess takes it.

        Raises MissingDependencyError without ssh.
        """
        try:
            # a session of its own: Ctrl-C reaches us, and we end it
            return subprocess.Popen(  # noqa: S603 no shell here, and quoted for the one there
                self.argv(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise MissingDependencyError(
                "ssh", "", "ssh is not installed; run: apt install openssh-client"
            ) from error

    def problem(self, stderr: str) -> str:
        """Return the target and what kept ssh from it, in one line; "" where the reason is no known one."""
        login = self.target.login
        for pattern, what in CAUSES:
            if re.search(pattern, stderr):
                words = {
                    "ssh": shlex.join(["ssh", *self._where(), login]),
                    "copy": shlex.join(["ssh-copy-id", *self._where(), login]),
                    "forget": shlex.join(self._forgetting(stderr)),
                }
                return f"{login}: {what.format(**words)}"
        return ""

    def _forgetting(self, stderr: str) -> list[str]:
        """Return the command that drops a changed host key: of the file and the name that ssh says, where it does."""
        file, name = _KEY_FILE.search(stderr), _KEY_NAME.search(stderr)
        host, port = self.target.host, self.target.port
        listed = name[1] if name else f"[{host}]:{port}" if port else host
        return ["ssh-keygen", *(["-f", file[1]] if file else []), "-R", listed]

    def failure(self, code: int, stderr: str, step: str) -> Exception:
        """Return the error for a command that ended with `code`; step: what it was to do."""
        words = " ".join(stderr.split())[-TAIL:] or "no output"
        if code == OWN_ERROR:
            if problem := self.problem(stderr):
                return InputError(problem)
            if is_own(stderr):
                return DeviceLostError(f"{self.target.login}: the connection was lost ({words})")
            return EngineError(
                f"{self.target.login}: {step}: the process there was ended, or ssh itself failed ({words})"
            )
        if "No space left on device" in stderr or "Disk quota exceeded" in stderr:
            return InputError(
                f"{self.target.login}: its disk is full; make room in its temporary directory, or set TMPDIR there"
            )
        return InputError(f"{self.target.login}: {step} failed with exit code {code} ({words})")


def is_own(stderr: str) -> bool:
    """Say whether ssh itself has said something of its end, and not the remote command alone."""
    return _OWN_LINE.search(stderr) is not None


def repeated(remote: str, python: str, config: Path | None) -> list[str]:
    """Return the options that reach the same board again, for a command to paste."""
    chosen = ["--ssh-config", str(config)] if config else []
    return ["--remote", remote, *(["--remote-python", python] if python != PYTHON else []), *chosen]


def check_options(remote: str | None, python: str, config: Path | None) -> None:
    """Raise InputError for an option of ssh without a board, or one whose value cannot be used."""
    if remote is None and (config or python != PYTHON):
        raise InputError(
            "--remote-python and --ssh-config are of a board: add --remote ssh:USER@HOST"
        )
    if not python or python.startswith("-"):
        raise InputError(f"--remote-python wants a command or a path, not {python!r}")
    if config is not None:
        try:
            is_folder = S_ISDIR(config.stat().st_mode)
        except FileNotFoundError as error:
            raise InputError(f"--ssh-config {config}: no such file") from error
        except OSError as error:
            raise InputError(f"--ssh-config {config}: {error.strerror}") from error
        if is_folder:
            raise InputError(f"--ssh-config {config} is a directory; name a file")


def quoted(word: str) -> str:
    """Return a word as a shell on the board takes it; `~/` at its beginning is the home directory there."""
    if word.startswith("~/"):
        return "~/" + shlex.quote(word.removeprefix("~/"))
    return shlex.quote(word)
