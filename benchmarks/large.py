"""Memory and time of a large model: loading Sapiens 0.3B, and exporting it to each format.

    python benchmarks/large.py [step ...]

Every step runs in its own process; peaks are the kernel's, of that process and of the converter it started. The input
is small (96x128), so that weights dominate and not activations. Weights are random. Measured on 2 cores
with torch 2.13, in copies of the weights: load 1.0 (.pth and .safetensors alike), ONNX 6.4 (split 1.3), OpenVINO 6.3,
ncnn 2.3 plus 2.3 in pnnx's process, TFLite 5.5.
"""

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from export.checkpoint import load_checkpoint, with_input
from export.converter import ConversionSource
from export.exporter import Target, export_model
from export.inputs import drawn_inputs
from export.limits import weight_bytes
from export.onnx_split import data_path
from export.registry import Variant, load_family
from export.to_onnx import write_onnx

VARIANT = Variant("sapiens", "0.3b", (768, 1024), schema="coco17")
SMALL_WH = (96, 128)
STEPS = (
    *(
        "load-pth",
        "load-safetensors",
        "split-fp32",
        "split-fp16",
        "onnxruntime-fp32",
        "onnxruntime-fp16",
    ),
    *("openvino-fp32", "openvino-fp16", "ncnn-fp32", "ncnn-fp16", "tflite-fp32", "tflite-fp16"),
)


def main() -> None:
    """Write the checkpoint in both formats, run each step in its own process, print a row a step."""
    with tempfile.TemporaryDirectory(prefix="edgepose-large-") as scratch:
        path = Path(scratch) / "sapiens.pth"
        state = load_family("sapiens").build(VARIANT).state_dict()
        torch.save({"state_dict": state}, path)
        save_file(state, path.with_suffix(".safetensors"))
        del state
        print(
            "step              weights MB   peak / weights   converter / weights   peak GB   seconds"
        )
        for step in sys.argv[1:] or STEPS:
            subprocess.run([sys.executable, __file__, "--step", step, path, scratch], check=True)


def run_step(step: str, path: Path, scratch: Path) -> None:
    """Run one step and print its peak of memory, without that of the imports, and its time."""
    before, started = peak_bytes(), time.perf_counter()
    name, _, precision = step.partition("-")
    loaded = load_checkpoint(
        path.with_suffix(".safetensors") if precision == "safetensors" else path
    )
    weights = weight_bytes(loaded.module)
    if name == "split":
        small = with_input(loaded, SMALL_WH)
        target = scratch / "split.onnx"
        source = ConversionSource(small.module, small.spec, scratch)
        write_onnx(source, precision, target, inline_limit=0)
        data_path(target).unlink()
    elif name != "load":
        small = with_input(loaded, SMALL_WH)
        inputs = drawn_inputs(small.spec, 1)
        with tempfile.TemporaryDirectory(dir=scratch) as out:
            (made,) = export_model(small, [Target(name, precision)], Path(out), inputs=inputs)
            if not made.passed:
                raise SystemExit(f"{step}: {made.error or made.parity}")
    seconds = time.perf_counter() - started
    peak = peak_bytes()
    own = (peak - before) / weights
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / weights
    row = f"{step:18}{weights / 1e6:10.0f}{own:17.2f}{child:22.2f}{peak / 1e9:10.2f}{seconds:10.1f}"
    print(row, flush=True)


def peak_bytes() -> int:
    """Return this process's peak of resident memory."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        run_step(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
