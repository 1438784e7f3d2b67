"""Converters: the float model they start from, the protocol they follow, and the one for each runtime."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from runtimes.spec import ImageSpec, KeptLayer, ModelSpec, Precision, Runtime, TensorSpec

# fp16 leaves tensors in float32 that have fewer elements than this, or than this share of the network's weights: some
# 2 % at most of a network of more than 4 M weights. For 3 % of RTMDet-nano's file they cut its error by ten.
MIN_HALF_ELEMENTS = 4096
MIN_HALF_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class ConversionSource:
    """A float module ready to convert (eval, CPU, batch norms folded), its spec and a scratch directory.

    `module` takes float32 NCHW (normalised) and returns a tuple of tensors in the order of `spec.outputs`.
    Files that several converters share, such as the bare float ONNX, are made once in `scratch`. `images`: uint8 BGR
    (N, H, W, 3), on which a converter may measure the ranges of activations; None where there are none.
    """

    module: Any
    spec: ModelSpec
    scratch: Path
    images: NDArray[np.uint8] | None = None

    @property
    def output_names(self) -> list[str]:
        """Our names of the outputs, in order."""
        return [tensor.name for tensor in self.spec.outputs]


def min_half_elements(source: ConversionSource) -> int:
    """Return the number of elements from which fp16 stores a tensor in half, the same in every converter.

    Smaller tensors are a network's early layers, where rounding is amplified most, its norms and its biases. The limit
    grows with the network: in FastPose's layer1 a tensor has up to 36864 elements, of 40.6 M.
    """
    weights = sum(parameter.numel() for parameter in source.module.parameters())
    return max(MIN_HALF_ELEMENTS, int(MIN_HALF_SHARE * weights))


@dataclass(frozen=True, slots=True)
class Converted:
    """The manifest fields that a converter decides: tensors, image preprocessing, tool versions.

    kept: layers that must not be computed in half, whatever the arithmetic of the session.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    image: ImageSpec
    tools: dict[str, str] = field(default_factory=dict)
    kept: tuple[KeptLayer, ...] = ()


def converted_from_uint8(
    source: ConversionSource, image: str, outputs: Sequence[str], tools: dict[str, str]
) -> Converted:
    """Describe an artifact with the preprocessing in its graph: uint8 BGR (B, H, W, 3) in.

    image, outputs: the engine's names of the tensors.
    """
    width, height = source.spec.image.wh
    tensor = TensorSpec(
        name="image", engine_name=image, dtype="uint8", shape=(-1, height, width, 3), layout="NHWC"
    )
    embedded = msgspec.structs.replace(source.spec.image, embedded=True)
    return Converted((tensor,), _named_outputs(source, outputs), embedded, tools)


def converted_from_float(
    source: ConversionSource, image: str, outputs: Sequence[str], tools: dict[str, str]
) -> Converted:
    """Describe an artifact that takes what the module takes, normalised float32 NCHW; names as above."""
    tensor = msgspec.structs.replace(source.spec.inputs[0], engine_name=image)
    return Converted((tensor,), _named_outputs(source, outputs), source.spec.image, tools)


def _named_outputs(source: ConversionSource, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    return tuple(
        msgspec.structs.replace(tensor, engine_name=name)
        for tensor, name in zip(source.spec.outputs, names, strict=True)
    )


class Converter(Protocol):
    """The interface of every `to_*` module."""

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
