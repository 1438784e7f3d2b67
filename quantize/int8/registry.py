"""Table of quantizers: one line a runtime."""

import importlib
from typing import cast

from quantize.int8.base import Quantizer
from runtimes.spec import Runtime

QUANTIZERS: dict[Runtime, str] = {
    "ncnn": "quantize.int8.ncnn.quantizer",
    "openvino": "quantize.int8.openvino_quantizer",
    "tflite": "quantize.int8.litert_quantizer",
    "onnxruntime": "quantize.int8.onnxruntime_quantizer",
}


def quantizer(runtime: Runtime) -> Quantizer:
    """Import the quantizer of a runtime; its tools (nncf, ...) load on first use."""
    return cast("Quantizer", importlib.import_module(QUANTIZERS[runtime]))
