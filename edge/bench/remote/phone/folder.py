"""A phone's temporary directory: made, filled and removed over adb, with the tool that runs in it."""

import contextlib
import re
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from edge.bench.remote.phone.adb import FULL, TAIL, Adb, Done
from edge.bench.remote.streams import Holder
from runtimes.errors import DeviceLostError, InputError, warn

# Where the shell may write and execute; /sdcard is mounted noexec.
PARENT = "/data/local/tmp"
MADE, REMOVED = re.compile(rb"@edgepose made\s*"), b"@edgepose removed"
PID = "tool.pid"
# The shell that makes the directory holds it: where its stdin ends, by us or with the connection, it ends the tool and
# removes the directory.
HOLD = (
    "trap '' HUP INT TERM PIPE; umask 077; mkdir {d} || exit 3; echo '@edgepose made'; cat >/dev/null; "
    "test -f {d}/{pid} && kill -9 $(cat {d}/{pid}); rm -rf {d} && echo '@edgepose removed'"
)


class Folder:
    """A directory on a phone, as a context manager."""

    def __init__(self, adb: Adb) -> None:
        self.adb = adb
        self.path = f"{PARENT}/edgepose-{secrets.token_hex(8)}"

    def __enter__(self) -> "Folder":
        command = HOLD.format(d=self.path, pid=PID)
        self._holder = Holder(lambda stderr: self.adb.start(command, stderr))
        try:
            self._await_made()
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
        # adb ends with code 0 where a connection is lost
        if REMOVED in self._holder.end()[1]:
            return
        # the shell was lost: with a phone that is still there, another one removes what it left
        with contextlib.suppress(DeviceLostError):
            if self.adb.run(f"rm -rf {self.path}").code == 0:
                return
        warn(
            f"adb:{self.adb.serial}: {self.path} is removed as soon as the phone notices the end of the connection;"
            f" after a restart of the phone run: adb -s {self.adb.serial} shell rm -rf {self.path}"
        )

    def send(self, sources: Sequence[Path], name: str) -> None:
        """Copy files into the folder `name` of the directory; raises as `Adb.push`."""
        self._must(f"mkdir -p {shlex.quote(f'{self.path}/{name}')}")
        self.adb.push(sources, f"{self.path}/{name}/")

    def send_tool(self, source: Path, name: str) -> None:
        """Copy an executable; raises as `Adb.push`."""
        self.adb.push([source], f"{self.path}/{name}")
        self._must(f"chmod 755 {shlex.quote(f'{self.path}/{name}')}")

    def run(self, arguments: Sequence[str], limit_s: float) -> Done:
        """Run a tool in the directory; raises DeviceLostError. The process has the id that the holder ends."""
        line = shlex.join(arguments)
        return self.adb.run(
            f"cd {self.path} && {{ sh -c 'echo $$ >{PID}; exec \"$@\"' sh {line}; c=$?; rm -f {PID}; exit $c; }}",
            limit_s,
        )

    def _must(self, command: str) -> None:
        done = self.adb.run(command)
        if done.code != 0:
            raise self._failure(done.text)

    def _await_made(self) -> None:
        if not self._holder.made(MADE):
            _, said, printed = self._holder.failure()  # old phones keep no stderr apart
            raise self._failure(printed + said)

    def _failure(self, said: str) -> Exception:
        words = " ".join(said.split())[-TAIL:] or "no output"
        if FULL.search(words):
            return InputError(f"adb:{self.adb.serial}: its storage is full; make room there")
        if cause := self.adb.cause(words):
            return InputError(f"adb:{self.adb.serial}: {cause}")
        return InputError(f"adb:{self.adb.serial}: no directory in {PARENT} ({words})")
