"""Name of a board as `--remote` takes it: ssh:[USER@]HOST[:PORT]."""

import re
from dataclasses import dataclass

from runtimes.errors import InputError

# nothing that a shell or ssh reads as more than a name: no option, no blank, no quote
_TARGET = re.compile(
    r"ssh:(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9._-]*)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


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


def parse_target(text: str) -> Target:
    """Return the target; raises InputError for any other text."""
    match = _TARGET.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if not match or port == 0 or (port or 0) > 65535:
        raise InputError(
            f"--remote wants ssh:USER@HOST or ssh:HOST (an alias of ~/.ssh/config; :PORT may follow), not {text!r}"
        )
    return Target(match["host"] or match["ipv6"], match["user"] or "", port)
