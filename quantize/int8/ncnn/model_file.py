"""ncnn's .param and .bin files, layer by layer: read as float32, written as float16, int8 or bare float32.

ncnn's ModelBin: a weight is a tag and its values, padded to 4 bytes; biases, scales and constants are bare float32. The
.param file gives their lengths. Other tags than those below (a palette of 256 values, int8) are refused.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.ncnn.blobs import F32
from export.ncnn.half_weights import FULL_TAG, HALF_TAG, Blob, layer_blobs
from export.ncnn.param_file import Layer, read_layers
from runtimes.errors import ConversionError

RAW_TAG = (0x0002C056).to_bytes(4, "little")  # float32 as well
INT8_TAG = (0x000D4B38).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values float32 (N,). tagged: they follow a tag, so may be stored as float16 or int8."""

    tagged: bool
    values: F32


@dataclass(frozen=True, slots=True)
class Node(Layer):
    """A layer with its tensors in the .bin."""

    tensors: tuple[Tensor, ...]


def read_nodes(param: Path, weights: Path) -> list[Node]:
    """Return every layer in file order; raises ConversionError for tags, lengths or layers that are not known."""
    data = weights.read_bytes()
    nodes, at = [], 0
    for layer in read_layers(param):
        tensors = []
        for blob in node_blobs(layer):
            tensor, at = _read_tensor(data, at, blob, f"{weights.name}, layer {layer.name}")
            tensors.append(tensor)
        shared = (layer.name, layer.kind, layer.inputs, layer.outputs, layer.params)
        nodes.append(Node(*shared, tuple(tensors)))
    if at != len(data):
        raise ConversionError(
            f"{weights.name}: {len(data) - at} bytes belong to no layer known here; use another runtime for int8"
        )
    return nodes


def node_blobs(layer: Layer) -> list[Blob]:
    """Return a layer's tensors in the .bin, in order, for the layer types with weights in pose networks."""
    params = layer.params
    match layer.kind:
        case "Convolution" | "ConvolutionDepthWise" if params.get(19):
            return []  # its weights are an input
        case "Deconvolution" | "DeconvolutionDepthWise" if not params.get(28):
            bias = [(False, params[0])] if params.get(5) else []
            return [(True, params[6]), *bias]
        case "LayerNorm":
            return [(False, params[0])] * 2 if params.get(2, 1) else []
        case "PReLU":
            return [(False, params[0])]
        case "Gemm" if params.get(6):
            rows, columns = params.get(7, 0), params.get(8, 0)
            # how the bias is broadcast: one value, by row, by row, elementwise, by column
            sizes = {0: 1, 1: rows, 2: rows, 3: rows * columns, 4: columns}
            size = sizes.get(params.get(10, 0))
            return [*layer_blobs(layer), *([] if size is None else [(True, size)])]
        case _:
            return layer_blobs(layer)


def full(values: F32) -> bytes:
    """Return bare float32 bytes: a bias, a scale, a constant."""
    return values.astype("<f4").tobytes()


def half(values: F32) -> bytes:
    """Return the bytes of a tagged weight in float16, or in float32 where a value does not fit."""
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        return FULL_TAG + full(values)
    return HALF_TAG + _padded(values.astype("<f2").tobytes())


def int8(values: NDArray[np.int8]) -> bytes:
    """Return the bytes of a tagged weight in int8."""
    return INT8_TAG + _padded(values.tobytes())


def stored(tensor: Tensor) -> bytes:
    """Return a float layer's tensor in bytes: weights in float16, the rest bare."""
    return half(tensor.values) if tensor.tagged else full(tensor.values)


def _read_tensor(data: bytes, at: int, blob: Blob, where: str) -> tuple[Tensor, int]:
    tagged, count = blob
    kind = "<f4"
    if tagged:
        tag = data[at : at + 4]
        if tag not in {FULL_TAG, RAW_TAG, HALF_TAG}:
            raise ConversionError(
                f"{where}: its weights are neither float32 nor float16; quantize a float artifact"
            )
        kind = "<f2" if tag == HALF_TAG else "<f4"
        at += 4
    end = at + count * np.dtype(kind).itemsize
    if end > len(data):
        raise ConversionError(f"{where}: the file ends too soon; export it again")
    values = np.frombuffer(data, kind, count, at).astype(np.float32, copy=False)
    return Tensor(tagged, values), end + -end % 4


def _padded(raw: bytes) -> bytes:
    return raw + bytes(-len(raw) % 4)
