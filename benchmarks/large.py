"""What a large model costs in memory: loading Sapiens 0.3B, and exporting it to each format.

    python benchmarks/large.py [runtime-precision ...]

Every step runs in a process of its own; peaks are the kernel's, of that process and of the converter it started. The
input is small (96x128), so that what is measured is the weights and not the activations. Weights are random. Measured
on 2 cores with torch 2.13, in copies of the weights: load 1.0, ONNX 6.4 (split 1.3), OpenVINO 6.3, ncnn 2.3 and pnnx
2.3 beside it, TFLite 5.5.
"""

import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from export.checkpoint import load_checkpoint, with_input
from export.inputs import drawn_inputs
from export.limits import weight_bytes
from export.onnx_split import data_path
from export.registry import Variant, load_family
from export.source import Source
from export.to_onnx import write_onnx
from export.write import Target, export_model

VARIANT = Variant("sapiens", "0.3b", (768, 1024), schema="coco17")
SMALL_WH = (96, 128)
STEPS = (
    *("load", "split-fp32", "split-fp16", "onnxruntime-fp32", "onnxruntime-fp16"),
    *("openvino-fp32", "openvino-fp16", "ncnn-fp32", "ncnn-fp16", "tflite-fp32", "tflite-fp16"),
)


def main() -> None:
    """Write the checkpoint, run each step in a process of its own, print a row a step."""
    with tempfile.TemporaryDirectory(prefix="edgepose-large-") as scratch:
        path = Path(scratch) / "sapiens.pth"
        torch.save({"state_dict": load_family("sapiens").build(VARIANT).state_dict()}, path)
        print("step              weights MB   peak / weights   converter / weights")
        for step in sys.argv[1:] or STEPS:
            subprocess.run([sys.executable, __file__, "--step", step, path, scratch], check=True)


def run_step(step: str, path: Path, scratch: Path) -> None:
    """Do one step and print what its memory came to."""
    before = peak_bytes()
    loaded = load_checkpoint(path)
    weights = weight_bytes(loaded.module)
    name, _, precision = step.partition("-")
    if name == "split":
        small = with_input(loaded, SMALL_WH)
        target = scratch / "split.onnx"
        source = Source(small.module, small.spec, scratch)
        write_onnx(source, precision, target, inline_limit=0)
        data_path(target).unlink()
    elif name != "load":
        small = with_input(loaded, SMALL_WH)
        inputs = drawn_inputs(small.spec, 1)
        with tempfile.TemporaryDirectory(dir=scratch) as out:
            export_model(small, [Target(name, precision)], Path(out), inputs=inputs)
    own = (peak_bytes() - before) / weights
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / weights
    print(f"{step:18}{weights / 1e6:10.0f}{own:17.2f}{child:22.2f}", flush=True)


def peak_bytes() -> int:
    """Return this process's peak of resident memory."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        run_step(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
