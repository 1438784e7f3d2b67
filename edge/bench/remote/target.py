"""Name of a board as `--remote` takes it: ssh:[USER@]HOST[:PORT], or adb:SERIAL."""

import re
from dataclasses import dataclass

from edge.media.paths import without_login
from runtimes.errors import InputError

# nothing that a shell or ssh reads as more than a name: no option, no blank, no quote
_TARGET = re.compile(
    r"ssh:(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
# serial numbers, emulator-5554, 192.168.0.7:5555, [fe80::1]:5555
_SERIAL = re.compile(r"adb:([A-Za-z0-9_\[][A-Za-z0-9._:%\[\]-]*)")


BOARD = "board:"  # before a source that a board reads


@dataclass(frozen=True, slots=True)
class Target:
    """A host that OpenSSH knows, or an alias of its configuration; user "" and port None leave them to that."""

    host: str
    user: str = ""
    port: int | None = None

    @property
    def login(self) -> str:
        """USER@HOST as ssh takes it."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True, slots=True)
class Phone:
    """An Android device, by the serial that `adb devices` lists."""

    serial: str


def refuse_target(text: str) -> None:
    """Raise InputError for a text that names a board, or a file of one, where a file of this machine is wanted."""
    if text.startswith(BOARD):
        raise InputError(
            f"{without_login(text)} is read by a board: `edgepose run SOURCE --remote ssh:USER@HOST` does that"
        )
    scheme = text.startswith(("ssh:", "adb:"))
    bare = _without_scheme(text)
    if bare and (scheme or "@" in bare):
        target = f"adb:{bare}" if text.startswith("adb:") else f"ssh:{bare}"
        raise InputError(f"{text}: no such file; a board is named by --remote {target}")


def _without_scheme(text: str) -> str:
    """Return what may follow `ssh:`, where a text has that behind no scheme, behind one, or behind one of a URL."""
    bare = re.sub("^(ssh|adb):(//)?", "", text).removesuffix("/")
    return bare if _TARGET.fullmatch(f"ssh:{bare}") else ""


def parse_target(text: str) -> Target | Phone:
    """Return the target; raises InputError for any other text."""
    if text.startswith("adb:"):
        phone = _SERIAL.fullmatch(text)
        if not phone:
            raise InputError(f"--remote wants adb:SERIAL as `adb devices` lists it, not {text!r}")
        return Phone(phone[1])
    match = _TARGET.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if not match or port == 0 or (port or 0) > 65535:
        bare = _without_scheme(text)
        meant = "" if not bare or text == f"ssh:{bare}" else f": write --remote ssh:{bare}"
        raise InputError(
            "--remote wants ssh:USER@HOST or ssh:HOST (an alias of ~/.ssh/config; :PORT may follow), or adb:SERIAL,"
            f" not {text!r}{meant}"
        )
    return Target(match["host"] or match["ipv6"], match["user"] or "", port)
