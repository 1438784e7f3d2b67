"""ONNX to int8 by ONNX Runtime's quantizer: i8 weights by channel, u8 activations at the inputs of products.

Static: ranges by moving average; outputs of convolutions and depthwise convolutions stay in float. Plain static
quantization of every tensor loses a third of a detector's boxes. Symmetric: static with i8 activations and no zero
points, as TensorRT reads them. Dynamic: matrix products only (a transformer's), with activations quantized in each run.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from devices.detect import detect_machine
from export.silence import silence
from export.versions import versions
from quantize.int8.base import Mode, QuantizableLayer, Quantized, Recipe
from runtimes.adapters.common import engine_name, image_tensor
from runtimes.adapters.image_input import image_input
from runtimes.artifact import Artifact
from runtimes.codec_spec import SimCCCodec
from runtimes.errors import ConversionError
from runtimes.spec import KeptLayer

PACKAGES = ("onnx", "onnxruntime")
MODES: tuple[Mode, ...] = ("static", "symmetric", "dynamic")
KINDS: dict[Mode, tuple[str, ...]] = {
    "static": ("Conv", "Gemm", "MatMul"),
    "symmetric": ("Conv", "Gemm", "MatMul"),
    "dynamic": ("Gemm", "MatMul"),
}
DEPTHWISE = "8-bit activations around depthwise convolutions cost the most accuracy"
NO_KERNEL = "computed in float in this mode"
# RTMPose on drawn people lost .04 AP with them in static int8, .003 without
SIMCC_HEAD = "activations of a SimCC head span too wide a range for one scale"
# on x86 without these, pairs of u8 x i8 products are summed into 16 bits and saturate
WIDE_DOTS = {"avx512_vnni", "avx_vnni", "amx_int8"}


class CalibrationReader:
    """Calibration images one by one: ONNX Runtime's CalibrationDataReader."""

    def __init__(self, artifact: Artifact, images: NDArray[np.uint8]) -> None:
        tensor = image_tensor(artifact)
        convert = image_input(artifact.manifest.image, tensor)
        self._feeds = iter([{engine_name(tensor): convert(image[None])} for image in images])

    def get_next(self) -> dict[str, Any] | None:
        """Return the next feed, None after the last."""
        return next(self._feeds, None)


def default_mode(artifact: Artifact) -> Mode:
    """Return `dynamic` where most weights are in matrix products (transformers), else `static`.

    ViTPose on drawn people lost .012 AP in static int8 and .001 in dynamic, which was faster too.
    """
    found = layers(artifact)
    products = sum(layer.weights for layer in found if layer.kind in KINDS["dynamic"])
    return "dynamic" if 2 * products > sum(layer.weights for layer in found) else "static"


def layers(artifact: Artifact) -> Sequence[QuantizableLayer]:
    """Return matrix products with weights and convolutions that are not depthwise, in graph order."""
    with silence():
        import onnx

        model = onnx.load(str(artifact.file(".onnx")))
    return [
        QuantizableLayer(name, kind, count)
        for name, kind, count, depthwise in _weighted(model)
        if not depthwise
    ]


def quantize(
    artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
) -> Quantized:
    """Write `model.onnx`; see `Quantizer`."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path, plain = directory / "model.onnx", directory / "float.onnx"
    # 7-bit weights where this CPU would saturate
    isa = set(detect_machine().isa)
    narrow = "avx2" in isa and not isa & WIDE_DOTS
    try:
        with silence():
            # folds the casts of weights stored in float16
            quant_pre_process(str(artifact.file(".onnx")), str(plain), skip_symbolic_shape=True)
            found = list(_weighted(onnx.load(str(plain))))
            kept = _kept(artifact, recipe, found)
            _write(
                plain, path, CalibrationReader(artifact, images), recipe.mode, kept, narrow=narrow
            )
            _restore_metadata(artifact.file(".onnx"), path)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[-300:]
        raise ConversionError(
            f"{artifact.root}: ONNX Runtime's quantizer failed ({reason})"
        ) from error
    finally:
        plain.unlink(missing_ok=True)
    manifest = artifact.manifest
    return Quantized(
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        image=manifest.image,
        kept=kept,
        method=_method(recipe.mode, narrow=narrow),
        tools=versions(*PACKAGES),
    )


def _write(
    plain: Path,
    path: Path,
    reader: CalibrationReader,
    mode: Mode,
    kept: Sequence[KeptLayer],
    *,
    narrow: bool,
) -> None:
    from onnxruntime.quantization import (
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )

    excluded = [layer.layer for layer in kept]
    if mode == "dynamic":
        quantize_dynamic(
            str(plain),
            str(path),
            op_types_to_quantize=list(KINDS[mode]),
            per_channel=True,
            reduce_range=narrow,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=excluded,
            extra_options={"MatMulConstBOnly": True},
        )
        return
    symmetric = mode == "symmetric"
    quantize_static(
        str(plain),
        str(path),
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(KINDS[mode]),
        per_channel=True,
        reduce_range=narrow,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        nodes_to_exclude=excluded,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "CalibMovingAverage": True,
            "OpTypesToExcludeOutputQuantization": ["Conv"],
            "MatMulConstBOnly": True,
            # TensorRT's parser refuses zero points other than 0, u8 activations and i32 biases
            "ActivationSymmetric": symmetric,
            "QuantizeBias": not symmetric,
        },
    )


def _method(mode: Mode, *, narrow: bool) -> str:
    bits = ", weights in 7 bits (no VNNI here: 8 would saturate)" if narrow else ""
    if mode == "dynamic":
        return (
            f"ONNX Runtime dynamic: int8 matrix products, activations quantized in each run{bits}"
        )
    kind = "symmetric: i8" if mode == "symmetric" else "static: u8"
    return (
        f"ONNX Runtime {kind} activations by moving average, outputs of convolutions in float{bits}"
    )


def _kept(
    artifact: Artifact, recipe: Recipe, found: Sequence[tuple[str, str, int, bool]]
) -> tuple[KeptLayer, ...]:
    """Return the layers of the recipe and those that this runtime always keeps in float."""
    simcc = isinstance(artifact.manifest.codec, SimCCCodec) and recipe.mode != "dynamic"
    always = [
        KeptLayer(layer=name, precision="fp32", reason=reason)
        for name, kind, _, depthwise in found
        if (reason := _float_reason(kind, recipe.mode, depthwise=depthwise, simcc=simcc))
        and name not in recipe.kept_names
    ]
    asked = (msgspec.structs.replace(layer, precision="fp32") for layer in recipe.kept)
    return (*asked, *always)


def _float_reason(kind: str, mode: Mode, *, depthwise: bool, simcc: bool) -> str:
    """Return the reason why a node always stays in float; "" where it need not."""
    if depthwise:
        return DEPTHWISE
    if kind not in KINDS[mode]:
        return NO_KERNEL
    return SIMCC_HEAD if simcc and kind in KINDS["dynamic"] else ""


def _weighted(model: Any) -> Iterator[tuple[str, str, int, bool]]:
    """Yield (name, kind, number of weights, whether depthwise) of each node with constant weights."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    casts = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    for node in model.graph.node:
        if node.op_type not in {"Conv", "ConvTranspose", "Gemm", "MatMul"}:
            continue
        given = [sizes.get(casts.get(name, name), 0) for name in node.input[:2]]
        if max(given):
            groups = next((each.i for each in node.attribute if each.name == "group"), 1)
            yield node.name, node.op_type, max(given), groups > 1


def _restore_metadata(parent: Path, path: Path) -> None:
    """Copy the parent's metadata (the mirrored spec), which the quantizer drops, into the new file."""
    import onnx

    model = onnx.load(str(path))
    given = {each.key: each.value for each in onnx.load(str(parent)).metadata_props}
    onnx.helper.set_model_props(model, given)
    onnx.save(model, str(path))
