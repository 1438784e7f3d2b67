"""Bundles: artifacts in one tar file, made on a host and unpacked into a board's cache.

A bundle is an uncompressed tar of regular files, `ARTIFACT/FILE`. It may come from anywhere, so it is read header by
header: nothing but such files is accepted, and no artifact is moved into place before all are verified. Extended (pax)
headers, which tar programs write for times and owners, may come before a file.
"""

import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from runtimes.artifact import MANIFEST, Artifact
from runtimes.errors import ArtifactError, InputError, TargetExistsError
from runtimes.files import atomic_file, publish
from runtimes.naming import MODEL_NAME
from runtimes.staging import staging

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20
SUFFIX = ".tar"
_PAX_BYTES = 64 << 10
# What is compressed begins so; what undoes it.
_COMPRESSED = {
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zXZ\0": ("xz", "unxz"),
    b"\x28\xb5\x2f\xfd": ("zstd", "unzstd"),
    b"PK\x03\x04": ("zip", "unzip"),
}


def write_bundle(path: Path, artifacts: Sequence[Artifact]) -> None:
    """Write the artifacts' files into a tar at `path`, whole or not at all; raises InputError where it cannot be."""
    try:
        with atomic_file(path) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
            for artifact in artifacts:
                for name in (MANIFEST, *(record.path for record in artifact.manifest.files)):
                    _add(tar, artifact.root / name, f"{artifact.name}/{name}")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def unpack_bundle(
    path: Path, into: Path, *, force: bool = False
) -> tuple[list[Artifact], list[Artifact]]:
    """Unpack a bundle into the folder `into`; returns the artifacts that came, and those that were there already.

    Raises InputError for a file that is no bundle, ArtifactError for an artifact in it that does not verify, and
    TargetExistsError for another artifact under a name there, unless `force` replaces it. Nothing is moved into place
    unless everything is sound.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; make one on a host with `edgepose get --bundle`")
    try:
        with path.open("rb") as stream, ExitStack() as stack:
            staged: dict[str, Path] = {}
            for name, file, size in _files(path, stream):
                if name not in staged:
                    staged[name] = stack.enter_context(staging(into))
                _copy(stream, size, staged[name] / file)
            opened = _verified(path, staged)
            there = {name for name in opened if not force and _same(opened[name], into / name)}
            fresh = [name for name in opened if name not in there]
            for name in fresh:
                _refuse_existing(path, into / name, force=force)
            placed = [publish(opened[name], into / name, force=force) for name in fresh]
            return placed, [Artifact(into / name, opened[name].manifest) for name in sorted(there)]
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be unpacked into {into} ({error.strerror})") from error


def _add(tar: tarfile.TarFile, file: Path, name: str) -> None:
    """Add a file without its times and owner, so that equal artifacts make equal bundles."""
    info = tarfile.TarInfo(name)
    info.size = file.stat().st_size
    with file.open("rb") as stream:
        tar.addfile(info, stream)


def _files(path: Path, stream: BinaryIO) -> Iterator[tuple[str, str, int]]:
    """Yield the artifact, the name and the size of each file, whose bytes the caller reads before the next."""
    seen = set()
    while (info := _file_header(path, stream)) is not None:
        parts = info.name.removeprefix("./").rstrip("/").split("/")
        if info.isdir() and len(parts) == 1:
            continue
        if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            raise InputError(f"{path}: {info.name!r} is no plain file; do not use this bundle")
        if len(parts) != 2 or not all(map(MODEL_NAME.fullmatch, parts)):
            raise InputError(f"{path}: {info.name!r} is not ARTIFACT/FILE; do not use this bundle")
        if tuple(parts) in seen:
            raise InputError(f"{path}: {info.name!r} is there twice; do not use this bundle")
        seen.add(tuple(parts))
        yield parts[0], parts[1], info.size
        stream.read(-info.size % BLOCK)


def _file_header(path: Path, stream: BinaryIO) -> tarfile.TarInfo | None:
    """Read the next header of a file, under the name of an extended header before it; None at the end."""
    renamed = None
    while (info := _header(path, stream)) is not None:
        if info.type not in {tarfile.XHDTYPE, tarfile.XGLTYPE}:
            info.name = renamed or info.name
            return info
        if info.size > _PAX_BYTES:
            raise InputError(f"{path}: has an extended header of {info.size} bytes; do not use it")
        records = _pax_records(path, stream.read(info.size))
        stream.read(-info.size % BLOCK)
        if info.type == tarfile.XHDTYPE:
            renamed = records.get(b"path", b"").decode("utf-8", "replace") or renamed
    return None


def _pax_records(path: Path, data: bytes) -> dict[bytes, bytes]:
    """Return the keys and values of an extended header; raises InputError for those that change what a file holds."""
    records = {}
    while data:
        length, _, rest = data.partition(b" ")
        size = int(length) if length.isdigit() and len(length) < 6 else 0
        record = rest[: max(size - len(length) - 1, 0)]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or len(record) != size - len(length) - 1:
            raise InputError(f"{path}: an extended header is damaged; copy it again")
        if key in {b"size", b"linkpath", b"hdrcharset"} or key.startswith(b"GNU.sparse"):
            name = key.decode("ascii", "replace")
            raise InputError(f"{path}: an extended header sets {name!r}; do not use this bundle")
        records[key] = value[:-1]
        data = data[size:]
    return records


def _header(path: Path, stream: BinaryIO) -> tarfile.TarInfo | None:
    """Read the next header, of whatever kind; None at the end of the archive."""
    block = stream.read(BLOCK)
    if not block.strip(b"\0"):
        return None
    for mark, (what, undo) in _COMPRESSED.items():
        if stream.tell() == len(block) and block.startswith(mark):
            raise InputError(
                f"{path}: is compressed with {what}; a bundle is a plain tar: {undo} it first"
            )
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise InputError(
            f"{path}: not a bundle, or damaged ({error}); copy it again, or make it with `edgepose get --bundle`"
        ) from error
    left = os.fstat(stream.fileno()).st_size - stream.tell()
    if not 0 <= info.size <= left:
        raise InputError(f"{path}: ends in the middle of {info.name!r}; copy it again")
    return info


def _copy(stream: BinaryIO, size: int, target: Path) -> None:
    """Copy `size` bytes to a new file, flushed to disk."""
    with target.open("xb") as file:
        for start in range(0, size, CHUNK):
            file.write(stream.read(min(CHUNK, size - start)))
        file.flush()
        os.fsync(file.fileno())


def _verified(path: Path, staged: Mapping[str, Path]) -> dict[str, Artifact]:
    """Open every artifact, sizes and hashes included; raises InputError where one is not sound, or where none is."""
    if not staged:
        raise InputError(f"{path}: holds no artifacts; make it with `edgepose get --bundle`")
    return {name: _sound(path, name, root) for name, root in staged.items()}


def _sound(path: Path, name: str, root: Path) -> Artifact:
    """Open an artifact; raises ArtifactError also for a file that its manifest lacks."""
    try:
        artifact = Artifact.open(root)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {str(error).replace(str(root), name)}") from error
    listed = {MANIFEST, *(record.path for record in artifact.manifest.files)}
    if extra := {each.name for each in root.iterdir()} - listed:
        raise ArtifactError(
            f"{path}: {name}: {min(extra)} is not in its manifest; do not use this bundle"
        )
    return artifact


def _same(artifact: Artifact, target: Path) -> bool:
    """Return whether the artifact at `target` is this one: its manifest, which holds all hashes, and sound files."""
    try:
        return Artifact.open(target).manifest == artifact.manifest
    except ArtifactError:
        return False


def _refuse_existing(path: Path, target: Path, *, force: bool) -> None:
    if target.exists() and not force:
        raise TargetExistsError(
            f"{path}: another {target.name} is in the cache already; add --force to replace it"
        )
