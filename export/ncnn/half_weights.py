"""Half-precision storage of an ncnn .bin, tensor by tensor; pnnx itself halves all of them or none.

ncnn's ModelBin: a weight is a tag (0: float32, 0x01306B47: float16, padded to 4 bytes) and its values; biases and
constants are bare float32. The .param file gives the length of each.
"""

import math
import struct
from pathlib import Path

import numpy as np

from export.ncnn.param_file import Layer, read_layers
from runtimes.errors import ConversionError

FULL_TAG = struct.pack("<I", 0)
HALF_TAG = struct.pack("<I", 0x01306B47)

Blob = tuple[bool, int]  # has a tag (so may be halved), number of elements


def halve_bin(param: Path, weights: Path, min_elements: int) -> bytes | None:
    """Return the contents of `weights` (all float32) with every tagged tensor of `min_elements` or more in float16.

    None where the layers in `param` do not account for the whole file: one of them has weights of an unknown layout.
    Raises ConversionError where a value does not fit float16.
    """
    data = weights.read_bytes()
    blobs = [blob for layer in read_layers(param) for blob in layer_blobs(layer)]
    ends = np.cumsum([4 * (tagged + count) for tagged, count in blobs], dtype=np.int64).tolist()
    if [len(data)] != ends[-1:]:
        return None
    parts: list[bytes] = []
    for (tagged, count), start, end in zip(blobs, [0, *ends], ends, strict=False):
        raw = data[start:end]
        if tagged and not raw.startswith(FULL_TAG):
            return None
        parts.append(_half(raw, param) if tagged and count >= min_elements else raw)
    return b"".join(parts)


def layer_blobs(layer: Layer) -> list[Blob]:
    """Return the blobs that a layer reads from the .bin, in order; none for unknown ones and those without weights."""
    params = layer.params
    match layer.kind:
        case "Convolution" | "ConvolutionDepthWise":
            return [(True, params[6]), *_bias(params[0], params.get(5, 0))]
        case "InnerProduct":
            return [(True, params[2]), *_bias(params[0], params.get(1, 0))]
        case "Gemm":
            rows, columns, inner = (params.get(key, 0) for key in (7, 8, 9))
            matrices = ((params.get(4, 0), rows * inner), (params.get(5, 0), columns * inner))
            return [(True, count) for constant, count in matrices if constant]
        case "MemoryData":
            return [(False, math.prod(params.get(key, 0) or 1 for key in (0, 1, 2, 11)))]
        case _:
            return []


def _bias(count: int, present: int) -> list[Blob]:
    return [(False, count)] if present else []


def _half(raw: bytes, param: Path) -> bytes:
    values = np.frombuffer(raw, "<f4", offset=len(FULL_TAG))
    if np.abs(values).max() > np.finfo(np.float16).max:
        raise ConversionError(f"{param.name}: a weight does not fit float16; export fp32 instead")
    half = values.astype("<f2").tobytes()
    return HALF_TAG + half + bytes(-len(half) % 4)
