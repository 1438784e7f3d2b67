"""The user's cache of artifacts, which `edgepose get` fills: what is there, and artifacts found by name."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtimes.artifact import MANIFEST, read_manifest
from runtimes.errors import ArtifactError, InputError, MissingDependencyError
from runtimes.files import cache_dir
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Manifest, Precision, Runtime

# Best first, a fixed choice; `bench` compares them. ncnn is written for ARM.
RUNTIMES_X86: tuple[Runtime, ...] = ("openvino", "onnxruntime", "ncnn", "tflite")
RUNTIMES_ELSEWHERE: tuple[Runtime, ...] = ("ncnn", "tflite", "onnxruntime", "openvino")
# Closest to the PyTorch model first.
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True)
class CachedArtifact:
    """An artifact in the cache: its directory, its manifest (files not yet verified), and when it came, in ns."""

    path: Path
    manifest: Manifest
    time_ns: int

    @property
    def runs_here(self) -> bool:
        """Whether its engine is installed."""
        return installed_engine(self.manifest.runtime) is not None


def artifacts_dir() -> Path:
    """Return the folder of the cached artifacts, which need not exist."""
    return cache_dir() / "artifacts"


def list_cache() -> tuple[list[CachedArtifact], list[ArtifactError]]:
    """Return the cached artifacts, newest first, and an error for each directory that is none."""
    folders = [path for path in artifacts_dir().glob("[!.]*") if path.is_dir()]
    read = [_read(path) for path in sorted(folders)]
    found = [each for each in read if isinstance(each, CachedArtifact)]
    errors = [each for each in read if isinstance(each, ArtifactError)]
    return sorted(found, key=lambda each: -each.time_ns), errors


def runtime_order() -> tuple[Runtime, ...]:
    """Return all runtimes, the best for this machine's kind of CPU first."""
    x86 = platform.machine().lower() in {"x86_64", "amd64", "i686"}
    return RUNTIMES_X86 if x86 else RUNTIMES_ELSEWHERE


def installed_runtimes() -> list[Runtime]:
    """Return the runtimes whose engine is installed, best first."""
    return [runtime for runtime in runtime_order() if installed_engine(runtime)]


def locate(name: str | Path) -> Path:
    """Return the directory of an artifact as `find` does; a name of nothing stays as it is.

    Raises what `find` raises.
    """
    return find(name) or Path(name)


def find(name: str | Path) -> Path | None:
    """Return a directory that exists, else the cached artifact of that name; None where there is neither.

    The name is that of an artifact's directory, or of its model (`rtmpose-s`): then, of several, the one whose engine
    is installed and comes first in `runtime_order`, and of these the most precise file. Raises MissingDependencyError
    where no artifact of the model has its engine installed, ArtifactError for what no file can be called, InputError
    for what is no path.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise InputError(
            f"an artifact is given by its directory or its name in the cache, not {type(name).__name__}"
        )
    path = Path(name)
    try:
        if path.is_dir():
            return path
    except OSError as error:  # too long for a file's name
        raise ArtifactError(f"{name}: no artifact there ({error.strerror})") from error
    cached, _ = list_cache()
    exact = [each.path for each in cached if each.path.name == str(path)]
    named = [each for each in cached if str(path) in _names(each)]
    return exact[0] if exact else _best(named).path if named else None


def latest(wanted: Callable[[Manifest], bool]) -> CachedArtifact | None:
    """Return the model that came last among the cached ones that are wanted, in its best artifact; None for none.

    Artifacts whose engine is not installed do not count; raises MissingDependencyError where no others are there.
    """
    cached = [each for each in list_cache()[0] if wanted(each.manifest)]
    if not cached:
        return None
    newest = next((each for each in cached if each.runs_here), cached[0])
    return _best([each for each in cached if each.manifest.model == newest.manifest.model])


def _read(path: Path) -> CachedArtifact | ArtifactError:
    try:
        manifest = read_manifest(path / MANIFEST)
    except ArtifactError as error:
        return error
    return CachedArtifact(path, manifest, (path / MANIFEST).stat().st_mtime_ns)


def _names(cached: CachedArtifact) -> tuple[str, str]:
    """Return the names of the model: without and with its input size."""
    return cached.manifest.model, cached.path.name.rpartition(".")[0]


def _best(cached: Sequence[CachedArtifact]) -> CachedArtifact:
    runnable = [each for each in cached if each.runs_here]
    if not runnable:
        runtime = cached[0].manifest.runtime
        raise MissingDependencyError(ENGINES[runtime].packages[0], runtime)
    order = runtime_order()

    def rank(each: CachedArtifact) -> tuple[int, int]:
        manifest = each.manifest
        return order.index(manifest.runtime), PRECISIONS.index(manifest.precision)

    return min(runnable, key=rank)
