"""TFLite to int8 by ai-edge-quantizer: i8 weights, one scale a channel; layers kept in float are stored in float16.

The default is dynamic: weights are quantized ahead, and convolutions and matrix products quantize their activations in
each run. Plain static quantization ruins pose models on this runtime. Depthwise convolutions stay in float: 8-bit
activations around them cost the most accuracy.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.silence import silence
from export.to_litert import HALF_RULE, store_spec
from export.versions import versions
from quantize.int8.base import Mode, QuantizableLayer, Quantized, Recipe
from runtimes.adapters.common import engine_name, image_tensor
from runtimes.adapters.image_input import image_input
from runtimes.artifact import Artifact
from runtimes.codec_spec import SimCCCodec
from runtimes.errors import ConversionError
from runtimes.spec import KeptLayer, model_spec

PACKAGES = ("ai-edge-quantizer", "ai-edge-litert")
MODES: tuple[Mode, ...] = ("dynamic", "weight-only", "static")
# operators with weights, by the quantizer's names
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
ALWAYS_KEPT = {
    "DEPTHWISE_CONV_2D": "8-bit activations around depthwise convolutions cost the most accuracy",
    "CONV_2D_TRANSPOSE": "its int8 kernel is not loaded, or 70 times slower, by the interpreters in use",
}
SIMCC_KEPT = {
    "FULLY_CONNECTED": "tflite-runtime computes int8 products after a SimCC head's normalisation wrongly, in silence"
}
# Operators of a SimCC head that tflite-runtime refuses, or computes wrongly, in static int8.
SIMCC_STATIC = ("BATCH_MATMUL", "SQRT", "SUM", "DIV", "MAXIMUM")

Rule = dict[str, Any]
PER_CHANNEL: Rule = {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"}
ACTIVATIONS: Rule = {"num_bits": 8, "symmetric": False, "granularity": "TENSORWISE", "dtype": "INT"}
CONFIGS: dict[Mode, Rule] = {
    "dynamic": {"weight_tensor_config": PER_CHANNEL, "compute_precision": "INTEGER"},
    "weight-only": {
        "weight_tensor_config": PER_CHANNEL,
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    },
    "static": {
        "activation_tensor_config": ACTIVATIONS,
        "weight_tensor_config": PER_CHANNEL,
        "compute_precision": "INTEGER",
    },
}
METHODS: dict[Mode, str] = {
    "dynamic": "ai-edge-quantizer, dynamic: int8 weights by channel, activations quantized in each run",
    "weight-only": "ai-edge-quantizer, weight-only: int8 weights by channel, float arithmetic",
    "static": "ai-edge-quantizer, static: int8 weights by channel, activations by min-max of the calibration",
}


def default_mode(artifact: Artifact) -> Mode:
    """Return the runtime's usual mode."""
    return MODES[0]


def layers(artifact: Artifact) -> Sequence[QuantizableLayer]:
    """Return the operators with weights, by the quantizer's scopes, in the order of the graph."""
    model = _flatbuffer(artifact)
    return [QuantizableLayer(*found) for found in _weighted(model) if found[1] not in ALWAYS_KEPT]


def quantize(
    artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
) -> Quantized:
    """Write `model.tflite`; see `Quantizer`. Raises ConversionError for a file whose weights are not float32."""
    from ai_edge_quantizer import quantizer

    path = directory / "model.tflite"
    found = list(_weighted(_flatbuffer(artifact)))
    kept = _kept(artifact, recipe, found)
    rules = _rules(artifact, recipe, kept)
    try:
        with silence():
            tool = quantizer.Quantizer(str(artifact.file(".tflite")))
            tool.load_quantization_recipe(rules)
            ranges = tool.calibrate(_feeds(artifact, images)) if tool.need_calibration else None
            tool.quantize(ranges).export_model(str(path))
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())[-300:]
        raise ConversionError(f"{artifact.root}: ai-edge-quantizer failed ({reason})") from error
    store_spec(path, model_spec(artifact.manifest))
    manifest = artifact.manifest
    return Quantized(
        inputs=manifest.inputs,
        outputs=_outputs(artifact, path),
        image=manifest.image,
        kept=kept,
        method=METHODS[recipe.mode],
        tools=versions(*PACKAGES),
    )


def _kept(
    artifact: Artifact, recipe: Recipe, found: Sequence[tuple[str, str, int]]
) -> tuple[KeptLayer, ...]:
    """Return the layers of the recipe and those that this runtime always keeps in float."""
    reasons = dict(ALWAYS_KEPT)
    if isinstance(artifact.manifest.codec, SimCCCodec) and recipe.mode != "weight-only":
        reasons |= SIMCC_KEPT
    always = [
        KeptLayer(layer=scope, precision="fp16", reason=reasons[kind])
        for scope, kind, _ in found
        if kind in reasons and scope not in recipe.kept_names
    ]
    return (*recipe.kept, *always)


def _rules(artifact: Artifact, recipe: Recipe, kept: Sequence[KeptLayer]) -> list[Rule]:
    """Return the recipe in ai-edge-quantizer's form; later rules override earlier ones."""
    config = CONFIGS[recipe.mode]
    if recipe.mode == "static":
        rules = [HALF_RULE, _rule(".*", "*", config)]
        simcc = isinstance(artifact.manifest.codec, SimCCCodec)
        rules += [_float(".*", kind) for kind in (SIMCC_STATIC if simcc else ())]
    else:
        rules = [HALF_RULE, *(_rule(".*", kind, config) for kind in KINDS)]
    # kept layers by name, in float16: the quantizer's own exclusions would leave them in float32
    rules += [{**HALF_RULE, "regex": f"^{re.escape(layer.layer)}$"} for layer in kept]
    return rules


def _rule(regex: str, operation: str, config: Rule) -> Rule:
    return {
        "regex": regex,
        "operation": operation,
        "algorithm_key": "min_max_uniform_quantize",
        "op_config": {
            "explicit_dequantize": False,
            "skip_checks": False,
            "min_weight_elements": 0,
            **config,
        },
    }


def _float(regex: str, operation: str) -> Rule:
    return {"regex": regex, "operation": operation, "algorithm_key": "no_quantize"}


def _feeds(artifact: Artifact, images: NDArray[np.uint8]) -> dict[str, list[dict[str, Any]]]:
    """Return calibration inputs by signature, as the quantizer takes them."""
    tensor = image_tensor(artifact)
    convert = image_input(artifact.manifest.image, tensor)
    return {"serving_default": [{engine_name(tensor): convert(image[None])} for image in images]}


def _outputs(artifact: Artifact, path: Path) -> tuple[Any, ...]:
    """Return the outputs as the new file has them: int8 with scale and zero point where it is static."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path))
        details = interpreter.get_signature_runner().get_output_details()
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[-300:]
        raise ConversionError(f"{artifact.root}: LiteRT refuses its int8 ({reason})") from error
    outputs = []
    for tensor in artifact.manifest.outputs:
        detail = details[engine_name(tensor)]
        dtype = np.dtype(detail["dtype"]).name
        scale, zero = detail["quantization"]
        outputs.append(
            tensor
            if dtype == "float32"
            else msgspec.structs.replace(
                tensor, dtype=dtype, scale=float(scale), zero_point=int(zero)
            )
        )
    return tuple(outputs)


def _flatbuffer(artifact: Artifact) -> Any:
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    return tfl_flatbuffer_utils.read_model(str(artifact.file(".tflite")))


def _weighted(model: Any) -> list[tuple[str, str, int]]:
    """Return (scope, kind, number of weights) of each operator with constant weights."""
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flat

    graph = model.subgraphs[0]
    found = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex].builtinCode
        kind = getattr(flat.TFL_OP_CODE_TO_NAME.get(code), "value", "")
        if kind in KINDS and len(op.inputs) > 1:
            weights = graph.tensors[op.inputs[1]]
            if model.buffers[weights.buffer].data is not None:
                scope = flat.get_op_scope(op, graph.tensors)
                found.append((scope, kind, math.prod(weights.shape)))
    return found
