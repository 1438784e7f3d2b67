"""What is to be made, and what it is called. Knows no torch."""

import re
from dataclasses import dataclass

from runtimes.spec import ModelSpec, Precision, Runtime

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Target:
    """One artifact to make."""

    runtime: Runtime
    precision: Precision


def artifact_name(spec: ModelSpec, target: Target) -> str:
    """Return `<model>-<W>x<H>.<runtime>-<precision>`; an HxW at the end of the model's name is dropped."""
    width, height = spec.image.wh
    stem = spec.model.removesuffix(f"-{height}x{width}")
    return f"{stem}-{width}x{height}.{target.runtime}-{target.precision}"
