"""Staging folders: unfinished work, beside its target or in the temporary directory, marked by a lock.

The process that makes a folder keeps its lock file locked, and the system frees the lock however the process ends.
Whoever makes the next folder there removes those whose lock is free. Nothing else is ever removed: a folder counts
only with the right name, owner and lock.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runtimes.errors import InputError
from runtimes.replace import LOCK, recover

HIDDEN = ".edgepose-"
NAME = re.compile(r"\.?edgepose-([a-z0-9]+-)?[a-z0-9_]{8}")
DRAFT = "draft"
# A folder whose process was killed before it had a lock is empty.
LOCKLESS_AGE_S = 24 * 3600
# Folders of this process.
_own: set[Path] = set()


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Yield a new directory below `parent`, removed when the block ends; raises InputError where it cannot be made.

    What earlier processes left in `parent` is removed first.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder, lock = _make(parent, HIDDEN)
    except OSError as error:
        raise InputError(
            f"{parent}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    with _held(folder, lock) as draft:
        yield draft


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """As `staging`, in a directory that exists; raises OSError."""
    with _held(*_make(parent, HIDDEN)) as draft:
        yield draft


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """Yield a new directory in the temporary directory, `edgepose-PURPOSE-...`, removed when the block ends."""
    with _held(*_make(Path(tempfile.gettempdir()), f"edgepose-{purpose}-")) as draft:
        yield draft


def clean(parent: Path) -> None:
    """Remove the staging folders in `parent` whose processes have ended; a half-done replacement is undone first."""
    for path in _folders(parent):
        with suppress(OSError):  # in use, of another user, or not to be removed now
            _clean_folder(path)


def unfinished(path: Path) -> Path | None:
    """Return the staging folder of another process that `path` lies in; None where it lies in none."""
    where = path.resolve()
    found = (each for each in (where, *where.parents) if each.name.startswith(HIDDEN))
    return next((each for each in found if NAME.fullmatch(each.name) and each not in _own), None)


def _make(parent: Path, prefix: str) -> tuple[Path, int]:
    """Make and lock a folder; returns it and the descriptor that holds its lock."""
    clean(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process removes it already
            os.close(lock)
            continue
        except OSError:  # a file system without locks: nothing there is ever cleaned
            return folder, lock
        if (folder / LOCK).exists():
            return folder, lock
        os.close(lock)


@contextmanager
def _held(folder: Path, lock: int) -> Iterator[Path]:
    own = folder.resolve()
    _own.add(own)
    try:
        (folder / DRAFT).mkdir()
        yield folder / DRAFT
    finally:
        with suppress(OSError):
            recover(folder)
            _remove(folder)
        _own.discard(own)
        os.close(lock)


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            found = [each for each in entries if NAME.fullmatch(each.name)]
            return [Path(each.path) for each in found if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _clean_folder(folder: Path) -> None:
    """Clean one folder; raises OSError where its lock is held, or where it cannot be removed."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - folder.stat().st_mtime > LOCKLESS_AGE_S:
            folder.rmdir()  # fails where it holds anything
        return
    try:
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            recover(folder)
            _remove(folder)
    finally:
        os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: what a kill leaves of it is still cleaned."""
    for path in folder.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    (folder / LOCK).unlink()
    folder.rmdir()
