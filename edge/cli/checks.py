"""Checks before long work: missing packages and unwritable directories. Imports no engine."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from runtimes.errors import InputError, MissingDependencyError
from runtimes.registry import ENGINES, installed_engine
from runtimes.spec import Runtime
from runtimes.staging import staging_folder


def require_torch(extra: str = "export") -> None:
    """Raise MissingDependencyError where PyTorch is not installed; `extra` brings what the verb needs."""
    if importlib.util.find_spec("torch") is None:
        raise MissingDependencyError("torch", extra)


def require_engine(runtime: Runtime) -> None:
    """Raise MissingDependencyError where the engine of `runtime` is not installed."""
    if installed_engine(runtime) is None:
        raise MissingDependencyError(ENGINES[runtime].packages[0], runtime)


def require_converters(runtimes: Sequence[Runtime]) -> None:
    """Raise MissingDependencyError for what an export to any of the runtimes lacks, before the first is begun."""
    require_torch()
    from export.converter import load_converter
    from export.versions import require

    for runtime in runtimes:
        require(load_converter(runtime).PACKAGES, "export")
        require_engine(runtime)


def require_writable(folder: Path, remedy: str = "choose another --out") -> None:
    """Raise InputError where `folder` cannot be created or written into; leaves nothing behind."""
    above = folder.absolute()
    existing = next(path for path in (above, *above.parents) if path.exists())
    try:
        with staging_folder(existing):
            pass
    except OSError as error:
        raise InputError(f"cannot write into {existing} ({error.strerror}); {remedy}") from error
