"""The safetensors reader against the format's own writer, and against damage."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.safetensors_file import read_safetensors
from runtimes.errors import CheckpointError


def packed(header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_reads_what_the_reference_writer_wrote(tmp_path: Path) -> None:
    writer = pytest.importorskip("safetensors.torch")
    tensors = {
        "half": torch.randn(3, 4).half(),
        "brain": torch.randn(5).bfloat16(),
        "full": torch.randn(2, 0, 3),
        "scalar": torch.tensor(7),
        "flags": torch.tensor([True, False]),
    }
    path = tmp_path / "model.safetensors"
    writer.save_file(tensors, path, metadata={"dataset_name": "ap10k"})
    read, metadata = read_safetensors(path)

    assert metadata == {"dataset_name": "ap10k"}
    assert read.keys() == tensors.keys()
    assert all(
        read[k].dtype == tensors[k].dtype and torch.equal(read[k], tensors[k]) for k in tensors
    )


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\xff" * 16,
        (1 << 62).to_bytes(8, "little") + b"{}",
        packed([]),
        packed({"a": F32}),
        packed({"a": F32}, b"1234567"),
        packed({"a": F32}, b"123456789"),
        packed({"a": F32, "b": F32}, b"12345678"),
        packed({"a": F32 | {"dtype": "F31"}}, b"12345678"),
        packed({"a": F32 | {"shape": [-2]}}, b"12345678"),
        packed({"a": F32 | {"shape": [-1, -2]}}, b"12345678"),
        packed({"a": F32 | {"data_offsets": [8, 0]}}, b"12345678"),
        packed({"a": F32 | {"shape": [1 << 62, 1 << 62]}}, b"12345678"),
        packed({"a": F32, "__metadata__": {"k": 3}}, b"12345678"),
    ],
)
def test_refuses_what_does_not_add_up(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a sound safetensors file") as caught:
        read_safetensors(path)
    assert "\n" not in str(caught.value)


def test_unknown_keys_of_a_tensor_are_ignored_as_the_formats_own_reader_does(
    tmp_path: Path,
) -> None:
    path = tmp_path / "extra.safetensors"
    path.write_bytes(packed({"a": F32 | {"extra": 1}}, struct.pack("<2f", 0.5, -3.0)))
    tensors, metadata = read_safetensors(path)
    assert tensors["a"].tolist() == [0.5, -3.0]
    assert metadata == {}


def test_shapes_that_torch_cannot_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    empty = {"dtype": "F32", "shape": [0, 1 << 63], "data_offsets": [0, 0]}
    path.write_bytes(packed({"a": empty}))
    with pytest.raises(CheckpointError, match="not a sound safetensors file") as caught:
        read_safetensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mapped_from", [0, 1 << 20])
def test_tensors_off_their_alignment_are_read_and_writing_leaves_the_file(
    tmp_path: Path, mapped_from: int
) -> None:
    path = tmp_path / "odd.safetensors"
    for padding in range(8):
        header = json.dumps({"a": F32}).encode()
        header += b" " * padding
        data = len(header).to_bytes(8, "little") + header + struct.pack("<2f", 1.5, 2.5)
        path.write_bytes(data)
        tensors, _ = read_safetensors(path, mapped_from=mapped_from)
        assert tensors["a"].data_ptr() % 4 == 0
        assert tensors["a"].tolist() == [1.5, 2.5]
        tensors["a"].fill_(9.0)
        assert path.read_bytes() == data


def test_a_small_file_may_be_cut_short_once_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(packed({"a": F32}, struct.pack("<2f", 1.5, 2.5)))
    tensors, _ = read_safetensors(path)
    os.truncate(path, 0)
    assert tensors["a"].tolist() == [1.5, 2.5]


@settings(max_examples=200, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
def test_damage_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    good = packed({"a": F32, "b": F32 | {"data_offsets": [8, 16]}}, bytes(16))
    data = bytearray(good)
    for position, value in flips:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(data)
    try:
        tensors, _ = read_safetensors(path)
    except CheckpointError:
        return
    assert sum(t.numel() * t.element_size() for t in tensors.values()) == 16
