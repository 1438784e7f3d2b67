"""Files that a run sends to a board: our own code, artifacts, and files at their places in a copy of our file system.

The copy is a folder that stands for `/`, so that names, relative ones too, mean on the board what they mean here.
"""

import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import edge
from edge.cli.remote import agent
from runtimes.artifact import MANIFEST, Artifact

PACKAGES = ("edgepose", "edge", "devices", "runtimes")
# edgepose looks where these lie, and imports nothing of them for a run
MARKS = ("export/__init__.py", "quantize/__init__.py")
ROOT = Path(edge.__file__).resolve().parents[1]
AGENT = Path(agent.__file__)
CODE, COPY = "packages", "files"  # no names of modules: Python finds them beside the agent


@dataclass(frozen=True, slots=True)
class Parcel:
    """Files to send; folders: those that must exist; names: files that must exist, without their content."""

    files: Sequence[Path]
    folders: Sequence[Path]
    names: Sequence[Path]

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.files)

    def write(self, stream: IO[bytes]) -> None:
        """Write the tar."""
        # the names of GNU's format may be of any length, and busybox knows it
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            _add(archive, AGENT.name, AGENT)
            for path in _code():
                _add(archive, f"{CODE}/{path.relative_to(ROOT).as_posix()}", path)
            for folder in _unique(self.folders):
                member = tarfile.TarInfo(COPY + folder)
                member.type, member.mode = tarfile.DIRTYPE, 0o700
                archive.addfile(member)
            for name in _unique(self.names):
                archive.addfile(_member(COPY + name, 0))
            for name in _unique(self.files):
                _add(archive, COPY + name, Path(name))


def artifact_files(artifact: Artifact) -> list[Path]:
    """Return an artifact's files."""
    names = (MANIFEST, *(each.path for each in artifact.manifest.files))
    return [artifact.root / each for each in names]


def _code() -> list[Path]:
    marks = [ROOT / each for each in MARKS]
    return [each for each in marks if each.exists()] + [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]


def _unique(paths: Iterable[Path]) -> list[str]:
    """Return absolute names, each once; `..` is resolved and links are kept."""
    return list(dict.fromkeys(os.path.abspath(path) for path in paths))  # noqa: PTH100


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    with path.open("rb") as file:
        archive.addfile(_member(name, os.fstat(file.fileno()).st_size), file)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    return member
