"""Outputs of an engine as `Session.run` promises them: manifest names, float32 or int64, batch first, padded."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from runtimes.base import Array, Outputs
from runtimes.errors import EngineError
from runtimes.spec import TensorSpec

COUNT = "count"


def name_outputs(root: Path, tensors: tuple[TensorSpec, ...], raw: Sequence[Array]) -> Outputs:
    """Return {manifest name: array} of one engine call; `raw` in the manifest's order, batch first.

    Quantised tensors are dequantised; floats become float32, integers int64. Axes of length one that an engine drops or
    adds (ncnn) are restored to the manifest's shape. Raises EngineError for a shape that differs from the manifest's.
    """
    return {
        tensor.name: _fit(root, tensor, _real(tensor, array))
        for tensor, array in zip(tensors, raw, strict=True)
    }


def join_batches(root: Path, tensors: tuple[TensorSpec, ...], parts: Sequence[Outputs]) -> Outputs:
    """Return consecutive batches as one.

    A tensor is ragged where its shape has -1 after the batch; all ragged tensors of a model vary together, along
    axis 1. They are padded (floats with 0, labels with -1), and `count`, int32 (B,), has each image's real
    rows; where the graph itself pads a batch, its padding counts as real.
    """
    ragged = [tensor.name for tensor in tensors if -1 in tensor.shape[1:]]
    if not ragged:
        return {
            tensor.name: _concatenate([part[tensor.name] for part in parts]) for tensor in tensors
        }
    lengths = [_length(root, ragged, part) for part in parts]
    longest = max(lengths)
    joined: Outputs = {}
    for tensor in tensors:
        arrays = [part[tensor.name] for part in parts]
        if tensor.name in ragged:
            arrays = [_pad(array, longest) for array in arrays]
        joined[tensor.name] = _concatenate(arrays)
    rows = [len(part[ragged[0]]) for part in parts]
    joined[COUNT] = np.repeat(np.asarray(lengths, np.int32), rows)
    return joined


def _real(tensor: TensorSpec, array: Array) -> Array:
    if array.dtype.kind == "f":
        return np.asarray(array, np.float32)
    if tensor.scale is not None:
        zero, scale = np.float32(tensor.zero_point or 0), np.float32(tensor.scale)
        real: Array = (array.astype(np.float32) - zero) * scale
        return real
    return np.asarray(array, np.int64)


def _fit(root: Path, tensor: TensorSpec, array: Array) -> Array:
    want, got = tensor.shape[1:], array.shape[1:]
    if not tensor.shape or _matches(want, got):
        return array
    squeezed = [size for size in got if size != 1]
    if -1 not in want and squeezed == [size for size in want if size != 1]:
        return array.reshape(len(array), *want)
    raise EngineError(
        f"{root}: output {tensor.name!r} has shape {array.shape}, the manifest says {tensor.shape};"
        " manifest and file do not belong together: export or import it again"
    )


def _matches(want: tuple[int, ...], got: tuple[int, ...]) -> bool:
    return len(want) == len(got) and all(
        size in (-1, real) for size, real in zip(want, got, strict=True)
    )


def _length(root: Path, ragged: list[str], part: Outputs) -> int:
    lengths = {int(part[name].shape[1]) for name in ragged}
    if len(lengths) > 1:
        raise EngineError(
            f"{root}: {', '.join(ragged)} differ in length within one image ({sorted(lengths)});"
            " outputs of dynamic length must vary together: export it again"
        )
    return lengths.pop()


def _pad(array: Array, length: int) -> Array:
    filler = -1 if array.dtype.kind == "i" else 0
    widths = [(0, 0), (0, length - array.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(array, widths, constant_values=filler)


def _concatenate(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
