"""Atomic writing of files and artifact directories, and the user's cache directory.

Everything is written in a staging folder beside its target, flushed to disk and renamed: an interrupted run leaves
nothing that opens, and the next one removes what it left.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from runtimes.artifact import MANIFEST, Artifact, sha256_of
from runtimes.errors import InputError, TargetExistsError
from runtimes.replace import flush, replace
from runtimes.spec import FileRecord, Manifest
from runtimes.staging import staging_folder


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
    with staging_folder(path.parent) as folder:
        draft = folder / path.name
        with draft.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    flush(path.parent)


def refuse_existing(target: Path, *, force: bool) -> None:
    """Raise TargetExistsError where `target` exists and may not be replaced; call it before long work."""
    if target.exists() and not force:
        raise TargetExistsError(
            f"{target} exists; add --force to replace it, or choose another --out"
        )


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
        flush(path)
    flush(staged)
    return Artifact(staged, sealed)


def publish(staged: Artifact, target: Path, *, force: bool) -> Artifact:
    """Move a sealed artifact out of its staging folder to `target`.

    Raises TargetExistsError where that exists, unless `force` replaces it: a reader finds the old or the new artifact,
    at every moment. InputError where the file system refuses.
    """
    refuse_existing(target, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.root.chmod(0o755)
        if force:
            replace(staged.root, target)
        else:
            staged.root.rename(target)
            flush(target.parent)
    except OSError as error:
        if not force:  # another process was faster
            refuse_existing(target, force=False)
        raise InputError(
            f"{target}: cannot be written ({error.strerror}); choose another --out"
        ) from error
    return Artifact(target, staged.manifest)


def discard(path: Path) -> None:
    """Remove a directory, if it is there, at once: a reader never finds a part of it. Raises OSError."""
    if path.exists():
        with staging_folder(path.parent) as folder:
            path.rename(folder / path.name)
