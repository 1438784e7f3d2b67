"""Mixed storage of ncnn weights: files written by hand from the format's own description."""

import struct
from pathlib import Path

import numpy as np
import pytest

from export.ncnn.half_weights import halve_bin, layer_blobs
from export.ncnn.param_file import read_layers
from runtimes.errors import ConversionError

PARAM = """7767517
6 7
Input                    in0       0 1 in0
Convolution              small     1 1 in0 a 0=2 1=3 3=2 4=1 5=1 6=18 -23310=1,0.5
ConvolutionDepthWise     bare      1 1 a b 0=3 1=1 5=0 6=9 7=3
MemoryData               constant  0 1 c 0=5 1=2
BinaryOp                 add       2 1 b c d 0=0 2=1.5e-1
Gemm                     product   1 1 d e 4=0 5=1 6=0 7=4 8=3 9=5
InnerProduct             out       1 1 e out0 0=2 1=1 2=10
"""
# layer: (tagged, number of values), as ncnn loads them
BLOBS = [(True, 18), (False, 2), (True, 9), (False, 10), (True, 15), (True, 10), (False, 2)]
HALF = struct.pack("<I", 0x01306B47)


def write(folder: Path, scale: float = 1.0) -> tuple[Path, Path, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    values = [(scale * rng.normal(0, 1, count)).astype("<f4") for _, count in BLOBS]
    parts = [
        bytes(4) * tagged + array.tobytes()
        for (tagged, _), array in zip(BLOBS, values, strict=True)
    ]
    (folder / "m.param").write_text(PARAM)
    (folder / "m.bin").write_bytes(b"".join(parts))
    return folder / "m.param", folder / "m.bin", values


def test_layers_are_read_with_their_whole_numbers(tmp_path) -> None:
    param, _, _ = write(tmp_path)
    layers = read_layers(param)
    assert [layer.kind for layer in layers][:2] == ["Input", "Convolution"]
    assert layers[1].params[6] == 18
    assert (layers[4].kind, layers[4].params) == ("BinaryOp", {0: 0})
    assert (layers[4].inputs, layers[4].outputs) == (("b", "c"), ("d",))
    assert [blob for layer in layers for blob in layer_blobs(layer)] == BLOBS


@pytest.mark.parametrize("least", [0, 10, 15, 18, 99])
def test_large_weights_are_halved_and_the_rest_stays_as_it_was(tmp_path, least) -> None:
    param, weights, values = write(tmp_path)
    expected = b""
    for (tagged, count), array in zip(BLOBS, values, strict=True):
        if tagged and count >= least:
            half = array.astype("<f2").tobytes()
            expected += HALF + half + bytes(-len(half) % 4)
        else:
            expected += bytes(4) * tagged + array.tobytes()
    assert halve_bin(param, weights, least) == expected
    assert (expected == weights.read_bytes()) == (least == 99)


def test_a_file_its_layers_do_not_account_for_is_left_to_pnnx(tmp_path) -> None:
    param, weights, _ = write(tmp_path)
    weights.write_bytes(weights.read_bytes() + bytes(4))
    assert halve_bin(param, weights, 0) is None
    param.write_text(PARAM.replace("6=18", "6=20"))
    assert halve_bin(param, weights, 0) is None
    param.write_text("7767517\n1 1\nInput in0 0 1 in0\n")
    assert halve_bin(param, weights, 0) is None


def test_a_tag_in_another_place_is_not_trusted(tmp_path) -> None:
    param, weights, _ = write(tmp_path)
    weights.write_bytes(b"\x01" + weights.read_bytes()[1:])
    assert halve_bin(param, weights, 0) is None


def test_what_does_not_fit_half_is_refused(tmp_path) -> None:
    param, weights, _ = write(tmp_path, scale=1e5)
    with pytest.raises(ConversionError, match="fp32"):
        halve_bin(param, weights, 0)
