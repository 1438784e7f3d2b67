"""Replacement of a file or directory by a complete new one: at every moment the target is the old or the new one.

Files are renamed over each other. A directory that is not empty cannot be, so the two are exchanged, which Linux and
macOS do atomically on most file systems. Elsewhere the old one is moved aside and a note beside it says where it
belongs: a process killed between the two renames leaves all that `recover` needs.
"""

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SWAP = 2  # RENAME_EXCHANGE of Linux's renameat2, RENAME_SWAP of macOS's renamex_np
AT_FDCWD = -100
NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM}
OCCUPIED = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
# In a staging folder: the lock that marks it, the old copy, and where that belongs.
LOCK, OLD, NOTE = "lock", "old", "note"


def replace(new: Path, target: Path) -> None:
    """Put `new`, a file or directory below a staging folder, in place of `target`.

    An old directory moves into the staging folder, to be removed with that. Raises OSError where the file system
    refuses; the target is then what it was.
    """
    try:
        new.replace(target)
    except OSError as error:
        if error.errno not in OCCUPIED:
            raise
        if not exchange(new, target):
            replace_in_two_steps(new, target)
    with suppress(OSError):  # not every file system flushes directories
        flush(target.parent)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths atomically; False where the system or the file system cannot, and nothing has changed."""
    call = _exchange_call()
    if call is None:
        return False
    if call(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    code = ctypes.get_errno()
    if code in NOT_SUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(second))


def recover(folder: Path) -> None:
    """Put the old copy back where a process was killed before the new one was in place; otherwise do nothing.

    folder: the staging folder that the process left. Raises OSError where it cannot be renamed.
    """
    try:
        new, target = (folder / each for each in (folder / NOTE).read_text().split("\n"))
    except (OSError, ValueError):  # it was killed at another point
        return
    # without the new copy the replacement was complete, and the target was removed since
    if new.exists() and (folder / OLD).exists() and not target.exists():
        (folder / OLD).rename(target)


def flush(path: Path) -> None:
    """Flush a file or directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_in_two_steps(new: Path, target: Path) -> None:
    """As `replace`, where the two cannot be exchanged; what a kill leaves is for `recover`."""
    folder = next(each for each in new.parents if (each / LOCK).exists())
    # relative, so that it holds where the whole tree has been moved meanwhile
    places = (os.path.relpath(each, folder) for each in (new, target))
    (folder / NOTE).write_text("\n".join(places))
    flush(folder / NOTE)
    flush(folder)
    try:
        target.rename(folder / OLD)
        new.rename(target)
    except BaseException:
        recover(folder)
        raise


@functools.cache
def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    """Return the C library's call that exchanges two paths and returns 0, or None where it has none."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return lambda first, second: int(library.renamex_np(first, second, SWAP))
        rename = library.renameat2
    except (OSError, AttributeError, TypeError):
        return None
    return lambda first, second: int(rename(AT_FDCWD, first, AT_FDCWD, second, SWAP))
