"""The safetensors format: 8 bytes of header length, a JSON header, raw little-endian tensors. Read strictly."""

import math
import mmap
import os
from pathlib import Path

import msgspec
import torch

from export.limits import MAPPED_FROM
from runtimes.errors import CheckpointError

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
METADATA = "__metadata__"
Buffer = bytearray | mmap.mmap


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One tensor in the header; offsets count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read_safetensors(
    path: Path, *, mapped_from: int = MAPPED_FROM
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return the tensors (CPU, as stored) and the file's string metadata.

    They lie in one buffer: a copy of the file, or its own pages (copied where written to) from `mapped_from` bytes on.
    Raises CheckpointError for a file whose header and length do not agree in every byte.
    """
    try:
        data = _contents(path, mapped_from)
        start = 8 + int.from_bytes(data[:8], "little")
        # where the header is said to be longer than the file, this is no whole JSON
        header = msgspec.json.decode(bytes(data[8:start]), type=dict[str, msgspec.Raw])
        metadata = msgspec.json.decode(header.pop(METADATA, b"{}"), type=dict[str, str])
        entries = {name: msgspec.json.decode(raw, type=_Entry) for name, raw in header.items()}
        _check_layout(entries, len(data) - start)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, msgspec.DecodeError) as error:
        raise CheckpointError(
            f"{path}: not a sound safetensors file ({error}); copy it again"
        ) from error
    tensors = {name: _tensor(entry, data, start) for name, entry in entries.items()}
    return tensors, metadata


def _contents(path: Path, mapped_from: int) -> Buffer:
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if size >= mapped_from:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
        return bytearray(stream.read())


def _check_layout(entries: dict[str, _Entry], size: int) -> None:
    """Raise ValueError unless the tensors fill the `size` bytes of data in a row, each as long as its shape says."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        if entry.dtype not in DTYPES:
            raise ValueError(f"{name} has dtype {entry.dtype}, which is not read here")
        length = math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
        if min(entry.shape, default=0) < 0 or entry.data_offsets != (end, end + length):
            raise ValueError(f"{name} does not lie where the header says")
        end += length
    if end != size:
        raise ValueError(f"{size} bytes of tensors, the header says {end}")


def _tensor(entry: _Entry, data: Buffer, start: int) -> torch.Tensor:
    begin, end = entry.data_offsets
    dtype = DTYPES[entry.dtype]
    if begin == end:
        return torch.empty(entry.shape, dtype=dtype)
    count = math.prod(entry.shape)
    tensor = torch.frombuffer(data, dtype=dtype, count=count, offset=start + begin)
    # writers pad the header to 8 bytes, but nothing obliges them to
    aligned = tensor if tensor.data_ptr() % dtype.itemsize == 0 else tensor.clone()
    return aligned.reshape(entry.shape)
