"""Which module makes int8 of which artifact: one line a runtime."""

import importlib
from typing import cast

from quantize.recipe import Quantizer
from runtimes.spec import Runtime

QUANTIZERS: dict[Runtime, str] = {
    "ncnn": "quantize.ncnn_int8",
    "openvino": "quantize.openvino_int8",
    "tflite": "quantize.litert_int8",
    "onnxruntime": "quantize.onnxruntime_int8",
}


def quantizer(runtime: Runtime) -> Quantizer:
    """Import the quantizer of a runtime; the tools it drives load only when it works."""
    return cast("Quantizer", importlib.import_module(QUANTIZERS[runtime]))
