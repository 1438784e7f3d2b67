"""What every converter starts from, and what it hands back."""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from runtimes.spec import (
    ImageSpec,
    ModelSpec,
    Precision,
    Runtime,
    TensorSpec,
)

# fp16 leaves tensors in float32 that have fewer elements than this, or than this share of the network's weights: some
# 2 % at most of a network of more than 4 M weights. For 3 % of RTMDet-nano's file they cut its error by ten.
MIN_HALF_ELEMENTS = 4096
MIN_HALF_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class ConversionSource:
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


def min_half_elements(source: ConversionSource) -> int:
    """Return how many elements a tensor must have for fp16 to store it in half, the same in every converter.

    The small ones are a network's early layers, where rounding is amplified most, its norms and its biases. How small
    goes with the network: in FastPose's layer1 a tensor has up to 36864 elements, of 40.6 M.
    """
    weights = sum(parameter.numel() for parameter in source.module.parameters())
    return max(MIN_HALF_ELEMENTS, int(MIN_HALF_SHARE * weights))


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

    def convert(self, source: ConversionSource, precision: Precision, directory: Path) -> Converted:
        """Write the engine's files into `directory`; raises ConversionError."""
        ...


CONVERTERS: dict[Runtime, str] = {
    "ncnn": "export.to_ncnn",
    "openvino": "export.to_openvino",
    "tflite": "export.to_litert",
    "onnxruntime": "export.to_onnx",
}


def load_converter(runtime: Runtime) -> Converter:
    """Import the converter of a runtime; the tools it drives load only when it converts."""
    return cast("Converter", importlib.import_module(CONVERTERS[runtime]))
