"""Downloads into the user's cache, verified by sha256 and resumed after an interruption.

A file appears under its name only when it is complete and its sha256 fits. Until then it is `NAME.part`, which the next
call resumes. Knows hashes and the cache, and nothing of models.
"""

import fcntl
import hashlib
import os
import re
import shutil
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from export.download.http_get import Reply, check_url, get
from runtimes.artifact import sha256_of
from runtimes.errors import DownloadError
from runtimes.files import atomic_file, cache_dir

MAX_BYTES = 16 << 30  # twice the largest published checkpoint (Sapiens 2B)
NAME_LIMIT = 120

ByteProgress = Callable[
    [int, int | None], None
]  # bytes there, bytes in all where the server says so


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file in the cache and its full sha256; `published` is the hash or prefix that it was checked against."""

    path: Path
    sha256: str
    published: str | None


def fetch(
    url: str,
    sha256: str | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    progress: ByteProgress | None = None,
) -> Fetched:
    """Return the file of an http(s) address, from the cache where it is complete, else downloaded.

    sha256: the published hash or its first digits. Without one, the file's own hash is returned for the user to check,
    and stored beside the file, so that later damage is noticed.
    Raises DownloadError: no network, an HTTP error, over `max_bytes`, truncated (the part is kept, and the next call
    resumes), a wrong hash (the file is deleted), no space, or another process at the same download.
    """
    name = _file_name(url)
    slot = _Slot(cache_dir() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:12], name)
    published = sha256.lower() if sha256 else None
    with _disk_errors(slot.folder), _locked(slot.folder):
        found = slot.whole(published)
        if found is None:
            _transfer(url, slot, published, max_bytes, progress)
            found = slot.finish(url, published)
    return Fetched(slot.path, found, published)


@dataclass(frozen=True, slots=True)
class _Slot:
    """The paths of one download: the file, its part so far with that version's validator, and the file's hash."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def part(self) -> Path:
        return self.folder / f"{self.name}.part"

    @property
    def validator(self) -> Path:
        return self.folder / f"{self.name}.part.version"

    @property
    def record(self) -> Path:
        return self.folder / f"{self.name}.sha256"

    def whole(self, published: str | None) -> str | None:
        """Return the hash of the cached file; None where there is none or it is wrong, in which case it is deleted."""
        if not self.path.is_file():
            return None
        found = sha256_of(self.path)
        wanted = [want for want in (published, _text(self.record)) if want]
        if wanted and all(found.startswith(want) for want in wanted):
            return found
        self.path.unlink()
        return None

    def begun(self, published: str | None) -> tuple[int, str]:
        """Return the bytes so far and their version; 0 where resuming could mix two versions unnoticed."""
        validator = _text(self.validator)
        if not self.part.is_file() or not (validator or published):
            return 0, ""
        return self.part.stat().st_size, validator

    def drop(self) -> None:
        """Delete the part."""
        self.part.unlink(missing_ok=True)
        self.validator.unlink(missing_ok=True)

    def finish(self, url: str, published: str | None) -> str:
        """Check the complete part and give it its name; returns its hash."""
        found = sha256_of(self.part)
        if published and not found.startswith(published):
            self.drop()
            raise DownloadError(
                f"{url}: is not the published file: sha256 {found}, published {published}; deleted. "
                "Run the same command again; if that does not help, do not use the file"
            )
        with atomic_file(self.record) as stream:
            stream.write(found.encode())
        self.part.replace(self.path)
        self.drop()
        return found


def _transfer(
    url: str, slot: _Slot, published: str | None, max_bytes: int, progress: ByteProgress | None
) -> None:
    """Download the rest of the part."""
    with get(url, *slot.begun(published)) as reply:
        if reply.total is not None:
            _check_size(url, slot, reply.total, max_bytes)
            _check_space(slot, reply.total - reply.start)
        slot.validator.write_text(reply.validator)
        done = _write(url, slot, reply, max_bytes, progress)
    if reply.total is not None and done != reply.total:
        raise DownloadError(
            f"{url}: cut short at {done} of {reply.total} bytes; run the same command again to resume"
        )


def _write(
    url: str, slot: _Slot, reply: Reply, max_bytes: int, progress: ByteProgress | None
) -> int:
    """Append the reply to the part; returns its length."""
    done = reply.start
    with slot.part.open("r+b" if reply.start else "wb") as file:
        file.seek(reply.start)
        for piece in reply.pieces:
            file.write(piece)
            done += len(piece)
            _check_size(url, slot, done, max_bytes)
            if progress:
                progress(done, reply.total)
        file.flush()
        os.fsync(file.fileno())
    return done


def _check_size(url: str, slot: _Slot, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        slot.drop()
        raise DownloadError(
            f"{url}: has {size} bytes or more, the limit is {max_bytes}; this is no published checkpoint"
        )


def _check_space(slot: _Slot, needed: int) -> None:
    free = shutil.disk_usage(slot.folder).free
    if needed > free:
        raise DownloadError(
            f"{slot.folder}: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; "
            "make room, or set EDGEPOSE_CACHE to another disk"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder against other processes; the lock is released however the process ends."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadError(
                f"{folder}: another edgepose is downloading this; wait for it to finish"
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Translate errors of the file system; those of the network are translated where they occur."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{folder}: cannot be written ({error.strerror}); make room, or set EDGEPOSE_CACHE to another folder"
        ) from error


def _file_name(url: str) -> str:
    last = urllib.parse.unquote(check_url(url).path.rpartition("/")[2])
    # from the right, so that a long name keeps its suffix
    return re.sub(r"[^A-Za-z0-9._+-]", "_", last)[-NAME_LIMIT:].lstrip(".") or "download"


def _text(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""
