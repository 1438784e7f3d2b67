"""torch -> TFLite through litert-torch: uint8 BGR (1, H, W, 3) in; fp16 by ai-edge-quantizer's float casting."""

import math
import re
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from export.converter import ConversionSource, Converted, converted_from_uint8, min_half_elements
from export.silence import silence
from export.versions import versions
from runtimes.spec import ModelSpec, Precision

PACKAGES = ("torch", "litert-torch", "ai-edge-quantizer")
# Halves the weights of every convolution and matrix product; later rules override it.
HALF_RULE: dict[str, Any] = {
    "regex": ".*",
    "operation": "*",
    "algorithm_key": "float_casting",
    "op_config": {
        "weight_tensor_config": {
            "num_bits": 16,
            "symmetric": True,
            "granularity": "TENSORWISE",
            "dtype": "FLOAT",
        },
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
        "skip_checks": False,
        "min_weight_elements": 0,
    },
}


def convert(source: ConversionSource, precision: Precision, directory: Path) -> Converted:
    """Write `model.tflite`, batch 1."""
    path = directory / "model.tflite"
    full = _float_tflite(source)
    if precision == "fp16":
        _halve(full, path, min_half_elements(source))
    else:
        path.write_bytes(full.read_bytes())
    store_spec(path, source.spec)
    outputs = [f"output_{index}" for index in range(len(source.output_names))]
    return converted_from_uint8(source, "args_0", outputs, versions(*PACKAGES))


def _float_tflite(source: ConversionSource) -> Path:
    """Return the float TFLite file, made once in the scratch directory."""
    path = source.scratch / "float.tflite"
    if path.exists():
        return path
    import torch

    from export.wrap import ImageInput

    width, height = source.spec.image.wh
    with silence():
        import litert_torch

        wrapped = ImageInput(source.module, source.spec.image).eval()
        sample = torch.zeros((1, height, width, 3), dtype=torch.uint8)
        litert_torch.convert(wrapped, (sample,)).export(str(path))
    return path


def _halve(full: Path, path: Path, min_elements: int) -> None:
    with silence():
        from ai_edge_quantizer import quantizer

        half = quantizer.Quantizer(str(full))
        small = _small_ops(full, min_elements)
        half.load_quantization_recipe([HALF_RULE, *map(_full_rule, small)])
        half.quantize().export_model(str(path))


def _small_ops(full: Path, min_elements: int) -> list[str]:
    """Return the scopes (the quantizer's names of operations) whose weights have fewer than `min_elements` elements.

    The quantizer's own setting for that, `min_weight_elements`, is ignored by its float casting.
    """
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    model = tfl_flatbuffer_utils.read_model(str(full))
    tensors = model.subgraphs[0].tensors
    return [
        tfl_flatbuffer_utils.get_op_scope(op, tensors)
        for op in model.subgraphs[0].operators
        if len(op.inputs) > 1 and math.prod(tensors[op.inputs[1]].shape) < min_elements
    ]


def _full_rule(scope: str) -> dict[str, Any]:
    return {"regex": f"^{re.escape(scope)}$", "operation": "*", "algorithm_key": "no_quantize"}


def store_spec(path: Path, spec: ModelSpec) -> None:
    """Store the spec where TFLite tools look: in a zip archive at the end of the file, reproducible."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo("edgepose.json"), msgspec.json.encode(spec))
