"""Reading of small files below /sys that may vanish, be refused or be busy while they are read."""

import errno
import re
from pathlib import Path

# A thermal zone that is switched off answers with these: it is there, and has no value.
_NO_VALUE = {errno.EAGAIN, errno.ENODATA, errno.EINVAL}


class Reader:
    """Files below `root`; `missing` collects what is there and could not be read, with the reason."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.missing: list[str] = []

    def find(self, pattern: str, folder: Path | None = None) -> list[Path]:
        """Return the paths below `folder` (None: the root) that match, in order of their numbers; [] for no folder."""
        try:
            found = list((folder or self._root).glob(pattern))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # gone since it was listed
                self._note(pattern, error)
            return []
        return sorted(found, key=_by_number)

    def text(self, path: Path) -> str:
        """Return the file's text without blanks around it; "" where it cannot be read, the reason being noted."""
        try:
            return path.read_text(errors="replace").strip("\0 \t\r\n")
        except FileNotFoundError:
            return ""
        except OSError as error:
            if error.errno not in _NO_VALUE:
                self._note(str(path.relative_to(self._root)), error)
            return ""

    def integer(self, path: Path) -> int | None:
        """Return the file's number; None where there is none."""
        text = self.text(path)
        return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None

    def _note(self, name: str, error: OSError) -> None:
        reason = "no permission" if isinstance(error, PermissionError) else error.strerror
        # one line a kind of file: a refused counter is refused on every core
        entry = f"/{re.sub(r'[0-9]+', '*', name)}: {reason}"
        if entry not in self.missing:
            self.missing.append(entry)


def _by_number(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
