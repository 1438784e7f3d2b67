"""Atomic writing of files and artifact directories, and the user's cache directory.

Everything is written beside its target, flushed to disk and renamed: an interrupted run leaves nothing that opens.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from runtimes.artifact import MANIFEST, Artifact, sha256_of
from runtimes.errors import InputError, TargetExistsError
from runtimes.spec import FileRecord, Manifest


def cache_dir() -> Path:
    """Return the cache directory: EDGEPOSE_CACHE, or `edgepose` in the XDG cache directory."""
    if chosen := os.environ.get("EDGEPOSE_CACHE"):
        return Path(chosen).expanduser()
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # the XDG specification says to ignore relative paths
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "edgepose"


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose bytes become `path`, replacing a file there, when the block ends without an exception.

    Raises OSError where the folder cannot be written or the disk is full; an earlier file at `path` then stays.
    """
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def refuse_existing(target: Path, *, force: bool) -> None:
    """Raise TargetExistsError where `target` exists and may not be replaced; call it before long work."""
    if target.exists() and not force:
        raise TargetExistsError(
            f"{target} exists; add --force to replace it, or choose another --out"
        )


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Yield a new directory in `parent`, removed when the block ends; raises InputError where it cannot be made."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        root = Path(tempfile.mkdtemp(prefix=".edgepose-", dir=parent))
    except OSError as error:
        raise InputError(
            f"{parent}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def seal(staged: Path, manifest: Manifest) -> Artifact:
    """Write artifact.json with the hash of every file in `staged`, flush all to disk, and return the artifact."""
    paths = sorted(path for path in staged.iterdir() if path.name != MANIFEST)
    records = tuple(
        FileRecord(path=path.name, bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    )
    sealed = msgspec.structs.replace(manifest, files=records)
    text = msgspec.json.format(msgspec.json.encode(sealed), indent=1)
    (staged / MANIFEST).write_bytes(text + b"\n")
    for path in staged.iterdir():
        _flush(path)
    _flush(staged)
    return Artifact(staged, sealed)


def publish(staged: Artifact, target: Path, *, force: bool) -> Artifact:
    """Rename a sealed artifact to `target`; raises TargetExistsError where it exists, unless `force` replaces it."""
    refuse_existing(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        # rename cannot replace a full directory: move the old one aside first, remove it last
        aside = Path(tempfile.mkdtemp(prefix=".edgepose-old-", dir=target.parent))
        target.rename(aside / "old")
        staged.root.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        staged.root.rename(target)
    target.chmod(0o755)
    _flush(target.parent)
    return Artifact(target, staged.manifest)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
