"""OpenVINO IR to int8 by NNCF: u8 activations by calibrated ranges, i8 weights, one scale a channel.

The mixed preset gives activations below zero an asymmetric range; transformers get NNCF's scheme for them. Layers kept
in float are stored in float32. NNCF works on the IR with the preprocessing inside, so that the inputs stay the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from export.silence import silence
from export.versions import versions
from quantize.int8.base import Mode, QuantizableLayer, Quantized, Recipe
from runtimes.adapters.common import image_tensor
from runtimes.adapters.image_input import image_input
from runtimes.artifact import Artifact
from runtimes.errors import ConversionError
from runtimes.spec import KeptLayer
from runtimes.telemetry import disable_telemetry

PACKAGES = ("nncf", "openvino")
MODES: tuple[Mode, ...] = ("static", "weight-only")
# Operators without weights, quantized too, to spare the conversion to float between two layers: together one "layer"
# for --keep and --search.
BETWEEN = "(between layers)"
BETWEEN_TYPES = (
    *("Add", "Subtract", "Multiply", "Divide", "Maximum", "Minimum", "Power", "MVN", "NormalizeL2"),
    *(
        "AvgPool",
        "MaxPool",
        "AdaptiveAvgPool",
        "ReduceMean",
        "ReduceMax",
        "ReduceSum",
        "Interpolate",
    ),
)
# Peaks are read from a pose network's outputs to a fraction of a bin. ViTPose on drawn people lost .009 AP without
# these two in float, .0015 with them; RTMPose .005 and .003, no slower.
POSE_LAST = "gives the maps that keypoints are read from"
POSE_BETWEEN = "the inputs of the last layers are rounded once less"
KINDS = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")


def default_mode(artifact: Artifact) -> Mode:
    """Return the runtime's usual mode."""
    return MODES[0]


def layers(artifact: Artifact) -> Sequence[QuantizableLayer]:
    """Return BETWEEN, then convolutions and matrix products with constant weights, in graph order.

    Without those that are always kept in float.
    """
    model = _read(artifact)
    between = QuantizableLayer(BETWEEN, ", ".join(BETWEEN_TYPES), 0)
    weighted = [
        QuantizableLayer(op.get_friendly_name(), kind, size) for op, kind, size in _weighted(model)
    ]
    always = {layer.layer for layer in _kept(artifact, model, Recipe("static"))}
    return [layer for layer in (between, *weighted) if layer.name not in always]


def quantize(
    artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
) -> Quantized:
    """Write `model.xml` and `model.bin`, int8; see `Quantizer`."""
    disable_telemetry()
    import nncf
    import openvino

    model = _read(artifact)
    kept_layers = _kept(artifact, model, recipe)
    kept = frozenset(layer.layer for layer in kept_layers)
    scope = _scope(kept)
    method = "NNCF weight compression" if recipe.mode == "weight-only" else _static_method(model)
    try:
        with silence():
            if recipe.mode == "weight-only":
                made = nncf.compress_weights(
                    model, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=scope
                )
            else:
                made = _static(model, artifact, images, scope)
            openvino.save_model(made, str(directory / "model.xml"), compress_to_fp16=False)
    except (RuntimeError, ValueError, nncf.ValidationError) as error:
        reason = " ".join(str(error).split())[-300:]
        raise ConversionError(f"{artifact.root}: NNCF failed ({reason})") from error
    manifest = artifact.manifest
    return Quantized(
        inputs=tuple(
            msgspec.structs.replace(each, shape=(1, *each.shape[1:])) for each in manifest.inputs
        ),
        outputs=manifest.outputs,
        image=manifest.image,
        kept=kept_layers,
        method=method,
        tools=versions(*PACKAGES),
    )


def _static(model: Any, artifact: Artifact, images: NDArray[np.uint8], scope: Any) -> Any:
    import nncf

    convert = image_input(artifact.manifest.image, image_tensor(artifact))
    samples = [convert(image[None]) for image in images]
    return nncf.quantize(
        model,
        nncf.Dataset(samples),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER if _is_transformer(model) else None,
        subset_size=len(samples),
        ignored_scope=scope,
    )


def _kept(artifact: Artifact, model: Any, recipe: Recipe) -> tuple[KeptLayer, ...]:
    """Return the layers of the recipe and, for static int8 of pose networks, BETWEEN and the last layers."""
    if recipe.mode != "static" or artifact.manifest.keypoints is None:
        return recipe.kept
    always = {BETWEEN: POSE_BETWEEN, **dict.fromkeys(_last_layers(model), POSE_LAST)}
    return (
        *recipe.kept,
        *(
            KeptLayer(layer=name, precision="fp32", reason=reason)
            for name, reason in always.items()
            if name not in recipe.kept_names
        ),
    )


def _last_layers(model: Any) -> list[str]:
    """Return the last layers with weights before each output."""
    weighted = {op.get_friendly_name() for op, _, _ in _weighted(model)}
    waiting = [result.input_value(0).get_node() for result in model.get_results()]
    seen: set[str] = set()
    found: dict[str, None] = {}
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if name in weighted:
            found[name] = None
            continue
        waiting += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return sorted(found)


def _scope(kept: frozenset[str]) -> Any:
    """Return NNCF's ignored scope, None where there is nothing to ignore."""
    import nncf

    if not kept:
        return None
    types = list(BETWEEN_TYPES) if BETWEEN in kept else []
    # validation would refuse types that a graph does not have
    return nncf.IgnoredScope(names=sorted(kept - {BETWEEN}), types=types, validate=False)


def _static_method(model: Any) -> str:
    scheme = "transformer" if _is_transformer(model) else "mixed"
    return f"NNCF post-training quantization, {scheme} preset, min-max, fast bias correction"


def _is_transformer(model: Any) -> bool:
    """Whether the graph has attention: fused, or softmaxes between products of activations."""
    kinds = [op.get_type_name() for op in model.get_ordered_ops()]
    return "ScaledDotProductAttention" in kinds or kinds.count("Softmax") > 1


def _read(artifact: Artifact) -> Any:
    """Return the graph with a batch of one and fused SiLUs (OpenVINO's common transformations).

    Both matter for int8. With a dynamic batch the CPU plugin runs each Sigmoid by itself: RTMPose-t at 96x128 took 5.0
    ms in int8 and 3.7 in float, and 1.5 with a batch of one. Unfused, NNCF quantizes between a convolution and its
    SiLU: 86 % of RTMDet-nano's boxes were matched, 97 % with the quantization after it.
    """
    disable_telemetry()
    import openvino
    from openvino._offline_transformations import apply_moc_transformations

    model = openvino.Core().read_model(str(artifact.file(".xml")), str(artifact.file(".bin")))
    source = model.inputs[0]
    model.reshape([1, *(size.get_length() for size in list(source.partial_shape)[1:])])
    apply_moc_transformations(model, cf=True)
    return model


def _weighted(model: Any) -> Iterator[tuple[Any, str, int]]:
    """Yield operations with constant weights, their kind and number of weights."""
    for op in model.get_ordered_ops():
        kind = op.get_type_name()
        if kind not in KINDS:
            continue
        sizes = [
            int(np.prod(value.get_output_shape(0)))
            for value in (op.input_value(i).get_node() for i in range(op.get_input_size()))
            if _is_constant(value)
        ]
        if sizes:
            yield op, kind, max(sizes)


def _is_constant(node: Any) -> bool:
    """Whether a node is a constant, possibly cast or reshaped."""
    while node.get_type_name() in {"Convert", "Reshape"}:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")
