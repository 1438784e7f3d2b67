"""Which module makes which artifact: one line a runtime."""

import importlib
from typing import cast

from export.source import Converter
from runtimes.spec import Runtime

CONVERTERS: dict[Runtime, str] = {
    "ncnn": "export.to_ncnn",
    "openvino": "export.to_openvino",
    "tflite": "export.to_litert",
    "onnxruntime": "export.to_onnx",
}


def converter(runtime: Runtime) -> Converter:
    """Import the converter of a runtime; the tools it drives load only when it converts."""
    return cast("Converter", importlib.import_module(CONVERTERS[runtime]))
