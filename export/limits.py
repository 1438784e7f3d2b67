"""Size limits of loading and of each converter: from which a model is mapped, split over files, or refused."""

from collections.abc import Iterable
from typing import Any

from devices.detect import detect_machine
from edge.catalog.lookup import CatalogEntry
from runtimes.errors import InputError
from runtimes.spec import Runtime

# Checkpoints of at least this size are memory-mapped: weights are in memory once, as pages that the system can drop.
# Smaller ones are read whole, because a mapped file must not be truncated by a training run that writes to it.
MAPPED_FROM = 256 << 20
# A protobuf or flatbuffer holds at most 2 GiB; the rest is left for the graph around the weights.
SINGLE_FILE_BYTES = 2_000_000_000
# Peak memory of an export, in copies of the weights: as benchmarks/large.py measures it, rounded up by half a copy or
# more for activations. A split ONNX file is written tensor by tensor, a whole one is not.
EXPORT_COPIES: dict[Runtime, float] = {
    "onnxruntime": 7.0,
    "openvino": 7.0,
    "ncnn": 5.0,
    "tflite": 6.0,
}
SPLIT_COPIES: dict[Runtime, float] = {"onnxruntime": 3.0, "openvino": 3.0, "ncnn": 5.0}
FLOAT_BYTES = 4


def weight_bytes(module: Any) -> int:
    """Return the bytes of a torch module's parameters and buffers, shared ones once; works on the meta device."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def refuse_oversized(
    model: str, weights: int, runtimes: Iterable[Runtime], memory: int | None
) -> None:
    """Raise InputError where a model with `weights` bytes of weights cannot be exported; the message says what to do.

    memory: bytes that this process may use; None where unknown, which refuses nothing.
    """
    wanted = tuple(runtimes)
    large = weights > SINGLE_FILE_BYTES
    if large and "tflite" in wanted:
        raise InputError(
            f"{model}: {_gigabytes(weights)} of weights do not fit a TFLite file (at most 2 GB); "
            "leave tflite out of --format"
        )
    copies = SPLIT_COPIES if large else EXPORT_COPIES
    for runtime in wanted:
        needed = int(weights * copies[runtime])
        if memory is not None and needed > memory:
            raise InputError(
                f"{model}: exporting {_gigabytes(weights)} of weights to {runtime} takes about {_gigabytes(needed)} of "
                f"memory, this machine gives {_gigabytes(memory)}; export on a larger one"
            )


def refuse_entry(entry: CatalogEntry, runtimes: Iterable[Runtime]) -> None:
    """Raise InputError as `refuse_oversized` does for this machine, before weights are downloaded or created."""
    if entry.params_m is not None:
        weights = int(entry.params_m * 1e6) * FLOAT_BYTES
        refuse_oversized(entry.name, weights, runtimes, detect_machine().memory_bytes)


def refuse_unloadable(model: str, weights: int, memory: int | None) -> None:
    """Raise InputError where that many bytes of weights do not fit `memory` bytes (None: unknown)."""
    if memory is not None and weights > memory:
        raise InputError(
            f"{model}: its weights take {_gigabytes(weights)}, this machine has {_gigabytes(memory)}"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
