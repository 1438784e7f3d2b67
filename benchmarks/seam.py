"""Cost of uint8 image inputs inside the graph: the float network against the same network behind `ImageInput`.

    python benchmarks/seam.py

RTMPose-t (random weights) in ONNX Runtime, 1 thread; CPU time, medians of interleaved rounds in one process.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from timing import interleaved_cpu_us

from export import load_weights
from export.converter import ConversionSource
from export.fold import fold_batchnorm
from export.to_onnx import export_onnx, float_onnx
from export.wrap import ImageInput

ROUNDS = 201


def main() -> None:
    """Measure and print."""
    loaded = load_weights("rtmpose-t", "random")
    width, height = loaded.spec.image.wh
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as scratch:
        source = ConversionSource(fold_batchnorm(loaded.module), loaded.spec, Path(scratch))
        wrapped = export_onnx(
            ImageInput(source.module, loaded.spec.image), source, (2, height, width, 3), uint8=True
        )
        onnx.save(wrapped, Path(scratch) / "u8.onnx")
        sessions = {
            "float": onnxruntime.InferenceSession(str(float_onnx(source)), options),
            "uint8": onnxruntime.InferenceSession(f"{scratch}/u8.onnx", options),
        }
    random = np.random.default_rng(0)
    feeds = {
        "float": random.normal(size=(1, 3, height, width)).astype(np.float32),
        "uint8": random.integers(0, 256, (1, height, width, 3), dtype=np.uint8),
    }
    steps = {name: lambda n=name: sessions[n].run(None, {"image": feeds[n]}) for name in sessions}
    medians = interleaved_cpu_us(steps, ROUNDS, calls=3)
    for name, value in medians.items():
        print(f"{name:6} {value / 1e3:.3f} ms")
    cost_us = medians["uint8"] - medians["float"]
    print(f"the uint8 input costs {cost_us:+.0f} us ({medians['uint8'] / medians['float']:.3f} x)")


if __name__ == "__main__":
    main()
