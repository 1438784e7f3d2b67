"""Strict reading of artifact directories: size and sha256 of every file are checked before an engine reads it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from runtimes.errors import ArtifactError
from runtimes.parity_spec import without_foreign_nulls
from runtimes.record import MALFORMED
from runtimes.spec import FORMAT, FileRecord, Manifest
from runtimes.spec_rules import contradictions
from runtimes.staging import clean, unfinished

MANIFEST = "artifact.json"
REFERENCE = "reference.npz"
MAX_NAME_BYTES = 255
# Of the files that an engine may read by itself.
ENGINE_SUFFIXES = {".param", ".bin", ".xml", ".tflite", ".onnx", ".data"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact: its directory and its manifest."""

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, root: str | Path) -> "Artifact":
        """Read and verify the artifact in `root`; raises ArtifactError with the fix in its message."""
        path = Path(root)
        if folder := unfinished(path):
            raise ArtifactError(
                f"{path}: lies in {folder.name}, the unfinished work of a command that runs or was interrupted; "
                "open a finished artifact, or export again"
            )
        if not path.exists():
            clean(path.absolute().parent)  # a replacement of it may have been interrupted
        if not path.is_dir():
            raise ArtifactError(
                f"{path}: no artifact there; make one with `edgepose export`, or `edgepose get` a published model"
            )
        manifest = read_manifest(path / MANIFEST)
        for record in manifest.files:
            _verify_file(path, record)
        _refuse_unlisted(path, manifest)
        return cls(path, manifest)

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.root.resolve().name

    def file(self, suffix: str) -> Path:
        """Return the one engine file that ends in `suffix`; raises ArtifactError where there is none."""
        found = [each.path for each in self.manifest.files if each.path.endswith(suffix)]
        if len(found) != 1:
            count = len(found) or "no"
            raise ArtifactError(
                f"{self.root}: artifact.json lists {count} *{suffix} files, one is wanted; export it again"
            )
        return self.root / found[0]


def read_manifest(path: Path) -> Manifest:
    """Decode artifact.json; raises ArtifactError for a missing, malformed or too new file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(
            f"{path.parent}: not an artifact ({path.name} cannot be read)"
        ) from error
    try:
        document = msgspec.json.decode(data)
        version = msgspec.convert(document, _Version).format
        if version < 1:
            raise ArtifactError(f"{path}: format {version} does not exist; export it again")
        if version > FORMAT:
            raise ArtifactError(
                f"{path}: format {version}, this edgepose reads up to {FORMAT}; run: pip install -U edgepose"
            )
        manifest = msgspec.convert(without_foreign_nulls(document), Manifest)
    except MALFORMED as error:
        raise ArtifactError(f"{path}: not a valid manifest ({error}); export it again") from error
    problem = next(contradictions(manifest), None)
    if problem:
        raise ArtifactError(f"{path}: not a valid manifest ({problem}); export it again")
    return manifest


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _is_bare(name: str) -> bool:
    """Return whether a name is that of a file in its directory, on every file system."""
    printable = name.isprintable() and len(name.encode()) <= MAX_NAME_BYTES
    return printable and name == Path(name).name and name not in {"", ".", ".."}


def _refuse_unlisted(root: Path, manifest: Manifest) -> None:
    """Raise ArtifactError for an engine's file that the manifest does not list: it would be read unchecked."""
    listed = [record.path for record in manifest.files]
    if len(set(listed)) < len(listed):
        raise ArtifactError(f"{root}: artifact.json lists a file twice; export it again")
    for path in sorted(root.iterdir()):
        if path.suffix in ENGINE_SUFFIXES and path.name not in listed:
            raise ArtifactError(
                f"{root}: {path.name} is not listed in artifact.json; remove it, or export the artifact again"
            )


class _Version(msgspec.Struct):
    """The field that every format version has."""

    format: int


def _verify_file(root: Path, record: FileRecord) -> None:
    if not _is_bare(record.path):
        raise ArtifactError(
            f"{root}: {record.path!r} is not a bare file name; do not use this artifact"
        )
    path = root / record.path
    if path.is_symlink():
        raise ArtifactError(
            f"{root}: {record.path} is a symbolic link, which is not followed; copy what it points to (cp -rL)"
        )
    if path.is_dir():
        raise ArtifactError(f"{root}: {record.path} is a directory, no file; export it again")
    if not path.is_file():
        raise ArtifactError(
            f"{root}: {record.path} is missing; copy the whole directory, or export it again"
        )
    size = path.stat().st_size
    if size != record.bytes:
        raise ArtifactError(
            f"{path}: {size} bytes, the manifest says {record.bytes}: truncated or changed; copy or export it again"
        )
    if sha256_of(path) != record.sha256:
        raise ArtifactError(f"{path}: sha256 differs from the manifest; copy or export it again")
