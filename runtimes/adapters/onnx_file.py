"""Files and inputs of an ONNX graph, read without the onnx package: external data, names of free axes.

Only the fields on the way to a tensor are followed; weights are skipped by their length. onnx.proto3 of ONNX 1.19.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtimes.errors import ArtifactError

MAX_DEPTH = 64  # of nested graphs and messages

# Field numbers of the messages that may hold a tensor, by message: {field: message}.
FIELDS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {13: "StringStringEntryProto"},
}
# Fields on the way from a ModelProto to the name of an axis: graph, input, type, tensor_type, shape, dim, dim_param.
SHAPES = (7, 11, 2, 1, 2)
DIM, DIM_NAME = 1, 2
# A tensor's type and its first field, the kind of its elements, as writers begin it: FLOAT is 1, UINT8 2.
TENSOR_TYPES = SHAPES[:4]
UINT8 = b"\x08\x02"
FLOAT = 1
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


def external_files(path: Path) -> set[str]:
    """Return the locations that the graph's tensors name; raises ArtifactError where the file is no ONNX graph."""
    with _graph(path) as data:
        return set(_locations(data, "ModelProto", 0))


def free_batches(path: Path) -> set[str]:
    """Return the names of the inputs' first axes where they are free; raises ArtifactError as `external_files`."""
    with _graph(path) as data:
        shapes = _inside(data, SHAPES)
        firsts = [
            next((value for field, value in _fields(each) if field == DIM), None) for each in shapes
        ]
        names = [_fields(first) for first in firsts if first is not None]
        return {bytes(text).decode() for each in names for field, text in each if field == DIM_NAME}


def with_float_inputs(path: Path) -> bytes:
    """Return the graph with its uint8 inputs declared float32, whose Cast to float32 then does nothing."""
    data = bytearray(path.read_bytes())
    for kind in _inside(memoryview(data), TENSOR_TYPES):
        if kind[:2] == UINT8:
            kind[1] = FLOAT
    return bytes(data)


def _inside(message: memoryview, way: tuple[int, ...]) -> list[memoryview]:
    """Return the messages at the end of a way of field numbers."""
    found = [message]
    for wanted in way:
        found = [value for each in found for field, value in _fields(each) if field == wanted]
    return found


@contextmanager
def _graph(path: Path) -> Iterator[memoryview]:
    try:
        with path.open("rb") as stream:
            # not closed here: an error's traceback holds views of it
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        yield memoryview(data)
    except (IndexError, UnicodeDecodeError, ValueError, OSError) as error:
        raise ArtifactError(
            f"{path}: not an ONNX graph ({error}); copy it again, or convert it again"
        ) from error


def _locations(message: memoryview, kind: str, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError("nested without end")
    inner = FIELDS[kind]
    for field, value in _fields(message):
        if field not in inner:
            continue
        if inner[field] != "StringStringEntryProto":
            yield from _locations(value, inner[field], depth + 1)
            continue
        entry = {key: bytes(text).decode() for key, text in _fields(value)}
        if entry.get(1) == "location":
            yield entry.get(2, "")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of each length-delimited field."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        field, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, at = _varint(message, at)
        elif wire in {FIXED64, FIXED32}:
            at += 8 if wire == FIXED64 else 4
        elif wire == BYTES:
            size, at = _varint(message, at)
            if size > end - at:
                raise ValueError("cut short")
            yield field, message[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a varint and the index behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("varint too long")
