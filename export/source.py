"""What every converter starts from, and what it hands back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from runtimes.spec import (
    ImageSpec,
    ModelSpec,
    Precision,
    TensorSpec,
)

# fp16 stores tensors of at least so many elements in half. The small ones lie early in a network, where rounding is
# amplified most: for 3 % of RTMDet-nano's file they cut its error by ten.
MIN_HALF_ELEMENTS = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """A float module ready to convert (eval, CPU, batch norms folded) with its spec and a scratch directory.

    `module` takes float32 NCHW (normalised) and returns a tuple of tensors in the order of `spec.outputs`.
    Files that several converters share, such as the bare float ONNX, are made once in `scratch`.
    """

    module: Any
    spec: ModelSpec
    scratch: Path

    @property
    def output_names(self) -> list[str]:
        """Our names of the outputs, in order."""
        return [tensor.name for tensor in self.spec.outputs]


@dataclass(frozen=True, slots=True)
class Converted:
    """What stands in an artifact once a converter has run: its tensors, how images enter, tool versions."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    tools: dict[str, str] = field(default_factory=dict)


class Converter(Protocol):
    """What every `to_*` module offers."""

    PACKAGES: tuple[str, ...]

    def convert(self, source: Source, precision: Precision, directory: Path) -> Converted:
        """Write the engine's files into `directory`; raises ConversionError."""
        ...
