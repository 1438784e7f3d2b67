"""Kinds of paths, for names that may be none (too long, or in a folder that may not be read); URLs in messages."""

# os.path answers False where Path raises OSError (before Python 3.14).
import os
import re
from pathlib import Path

from runtimes.errors import InputError

_LOGIN = re.compile(r"(?<=//)[^/@\s]*@")


def is_file(name: str | Path) -> bool:
    """Return whether a name is a file that can be seen."""
    return os.path.isfile(name)  # noqa: PTH113


def is_folder(name: str | Path) -> bool:
    """Return whether a name is a directory that can be seen."""
    return os.path.isdir(name)  # noqa: PTH112


def exists(name: str | Path) -> bool:
    """Return whether anything that can be seen has the name."""
    return os.path.exists(name)  # noqa: PTH110


def without_login(source: str) -> str:
    """Return a URL, or a text that names one, without user name and password, and anything else as it is."""
    return _LOGIN.sub("", source)


def require_utf8(name: str | Path) -> None:
    """Raise InputError for a name whose bytes are no UTF-8: OpenCV crashes on it, and JSON cannot hold it."""
    try:
        str(name).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the name {os.fsencode(name)!r} is no UTF-8; rename it") from error
