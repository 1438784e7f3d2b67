"""Size limits: models refused before any work, and the memory that loading a large checkpoint takes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from edge.catalog.lookup import CATALOG
from export.exporter import Target, export_model
from export.limits import (
    MAPPED_FROM,
    SINGLE_FILE_BYTES,
    refuse_entry,
    refuse_oversized,
    refuse_unloadable,
    weight_bytes,
)
from export.random_weights import random_model
from export.registry import Variant, load_family, variant_of
from runtimes.errors import InputError

GB = 10**9


def test_weights_are_counted_once_and_without_memory() -> None:
    with torch.device("meta"):
        two_billion = load_family("sapiens").build(variant_of(CATALOG["sapiens-2b"]))
    # 2 166 170 000 parameters (the catalogue's figure), four bytes each
    assert weight_bytes(two_billion) / 4e6 == pytest.approx(2166.17, abs=0.01)
    shared = torch.nn.Linear(10, 10, bias=False)
    assert weight_bytes(torch.nn.Sequential(shared, shared)) == 400


@pytest.mark.parametrize("name", ["sapiens-0.6b", "sapiens-1b-308", "sapiens-2b-depth"])
def test_tflite_is_refused_above_two_gigabytes_however_large_the_machine(name: str) -> None:
    weights = int(CATALOG[name].params_m * 4e6)
    assert weights > SINGLE_FILE_BYTES
    with pytest.raises(InputError, match="do not fit a TFLite file") as caught:
        refuse_oversized(name, weights, ["tflite"], None)
    assert caught.value.exit_code == 2
    refuse_oversized(name, weights, ["onnxruntime", "openvino", "ncnn"], 500 * GB)
    with pytest.raises(InputError, match="TFLite"):
        refuse_entry(CATALOG[name], ["tflite"])


def test_the_smallest_sapiens_fits_one_file_of_every_format() -> None:
    weights = int(CATALOG["sapiens-0.3b"].params_m * 4e6)
    refuse_oversized("sapiens-0.3b", weights, ["tflite", "onnxruntime"], 64 * GB)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "ncnn"])
def test_memory_that_is_too_small_is_named_with_what_is_needed(runtime: str) -> None:
    weights = int(CATALOG["sapiens-2b"].params_m * 4e6)
    with pytest.raises(InputError, match=r"8\.7 GB of weights to .* this machine gives 16\.0 GB"):
        refuse_oversized("sapiens-2b", weights, [runtime], 16 * GB)
    refuse_oversized("sapiens-2b", weights, [runtime], None)
    refuse_oversized("rtmpose-t", 13 * 10**6, [runtime], 8 * GB)
    with pytest.raises(InputError, match=r"weights take 8\.7 GB, this machine has 4\.0 GB"):
        refuse_unloadable("sapiens-2b", weights, 4 * GB)


def test_nothing_is_written_by_an_export_that_is_refused(tmp_path: Path) -> None:
    """A model of zeros that are never written takes no memory, whatever its size."""
    loaded = random_model("rtmpose-t")
    loaded.module.register_buffer("ballast", torch.zeros(1).expand(SINGLE_FILE_BYTES // 4 + 1))
    with pytest.raises(InputError, match="TFLite"):
        export_model(loaded, [Target("tflite", "fp32")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


MEASURE = """
import re, sys
from pathlib import Path
import torch
from export.checkpoint import load_checkpoint
from export.registry import load_family
load_family("sapiens")
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
before = peak()
module = load_checkpoint(sys.argv[1]).module
print((peak() - before) / sum(4 * p.numel() for p in module.parameters()))
"""


def save_torch(state: dict[str, torch.Tensor], path: Path) -> None:
    """Zeros of those shapes; numpy's take no memory until they are written to."""
    zeros = {
        name: torch.from_numpy(np.zeros(tensor.shape, np.float32)) for name, tensor in state.items()
    }
    torch.save({"state_dict": zeros}, path)


def save_safetensors(state: dict[str, torch.Tensor], path: Path) -> None:
    """The header, padded to 8 bytes as its own writer does, and as many bytes of zeros as it says."""
    header, end = {}, 0
    for name, tensor in state.items():
        start, end = end, end + 4 * tensor.numel()
        offsets = [start, end]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(stream.tell() + end)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("deep.pth", save_torch),
        pytest.param("deep.safetensors", save_safetensors, marks=pytest.mark.slow),
    ],
)
def test_loading_takes_the_memory_of_the_weights_once(name: str, save, tmp_path: Path) -> None:
    variant = Variant("sapiens", "192x160x3-head96", (96, 128), schema="coco17")
    with torch.device("meta"):
        state = load_family("sapiens").build(variant).state_dict()
    path = tmp_path / name
    save(state, path)
    assert path.stat().st_size > MAPPED_FROM
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 1.2
