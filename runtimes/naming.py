"""Names and destinations of artifacts. Knows no torch."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtimes.errors import InputError
from runtimes.files import refuse_existing
from runtimes.spec import ModelSpec, Precision, Runtime

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """One artifact to make."""

    runtime: Runtime
    precision: Precision


@dataclass(frozen=True, slots=True)
class Destination:
    """The directory that an artifact goes to once it passes its gate; `force`: it may replace what is there."""

    target: Target
    path: Path
    force: bool = False


def artifact_name(spec: ModelSpec, target: Target) -> str:
    """Return `<model>-<W>x<H>.<runtime>-<precision>`; an HxW at the end of the model's name is dropped.

    Raises InputError for a name that is none, such as a path out of the directory.
    """
    if not MODEL_NAME.fullmatch(spec.model):
        raise InputError(
            f"model is {spec.model!r}, a name has letters, digits and . _ + - only; correct artifact.json"
        )
    width, height = spec.image.wh
    stem = spec.model.removesuffix(f"-{height}x{width}")
    return f"{stem}-{width}x{height}.{target.runtime}-{target.precision}"


def destinations(
    spec: ModelSpec, targets: Iterable[Target], out: Path, *, force: bool = False
) -> list[Destination]:
    """Return where each target of a model goes in `out`; call it before long work.

    Raises TargetExistsError for the first that exists and may not be replaced.
    """
    found = [Destination(each, out / artifact_name(spec, each), force) for each in targets]
    for destination in found:
        refuse_existing(destination.path, force=force)
    return found
