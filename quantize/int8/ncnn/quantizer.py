"""ncnn to int8, as ncnn's ncnn2int8 writes it, in Python.

Convolutions and fully connected layers run in int8 with calibrated scales (ncnn's param 8=2: one for each output of the
weights, one for the input). Gemm (18=2) has one scale for its weights and computes the scales of its input's rows in
each run, also in the mode `static`. Every other layer computes in float; those whose values would overflow in float16
are masked (`export.ncnn.half_masks`).
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.ncnn.blobs import F32, FloatNet
from export.ncnn.half_masks import fp16_masks, measure_ranges, with_masks
from export.ncnn.param_file import add_params, without_masks
from export.versions import versions
from quantize.int8.base import Mode, QuantizableLayer, Quantized, Recipe
from quantize.int8.ncnn.model_file import Node, full, half, int8, read_nodes, stored
from quantize.int8.ncnn.ranges import LEVELS, best_clip, blob_histograms
from runtimes.adapters.common import engine_name
from runtimes.artifact import Artifact
from runtimes.errors import ConversionError
from runtimes.spec import KeptLayer

PACKAGES: tuple[str, ...] = ("ncnn",)
MODES: tuple[Mode, ...] = ("static",)

# smaller weights count as zeros: their scale would overflow float32
SMALLEST = 1e-12
# Winograd's F(4, 3) holds 576 times a 3x3 convolution's sums in int32; sums of weights up to this never overflow it
WINOGRAD_SUM = (2**31 - 1) // 576 // LEVELS
# convolutions of this many input channels or fewer stay in float: 2 KB of RTMDet-nano's 1 MB
FEW_CHANNELS = 16
DEPTHWISE = "8-bit activations around depthwise convolutions ruin poses and boxes, and run slower than float"
NARROW = f"{FEW_CHANNELS} input channels or fewer: early in the network, where rounding errors are amplified most"
NO_KERNEL = "ncnn has no int8 kernel for it"
# Gemm in int8: A the input, not transposed, B constant (N, K)
GEMM = {2: 0, 3: 1, 4: 0, 5: 1}
METHOD = (
    "ncnn static int8, symmetric; inputs of convolutions clipped at the least squared error (2048 bins), of fully"
    " connected layers at their largest, of Gemm by row in each run; weights by output (Gemm's by layer), 3x3 ones"
    " scaled so that Winograd cannot overflow; depthwise convolutions and those of few channels in float16"
)


def default_mode(artifact: Artifact) -> Mode:
    """Return the runtime's usual mode."""
    return MODES[0]


def layers(artifact: Artifact) -> list[QuantizableLayer]:
    """Return the layers that can be quantized, in graph order.

    Without those that are always kept in float (depthwise convolutions, those of few channels).
    """
    return [
        QuantizableLayer(node.name, node.kind, node.tensors[0].values.size)
        for node in _read(artifact)
        if _can_be_int8(node)
    ]


def quantize(
    artifact: Artifact, images: NDArray[np.uint8], recipe: Recipe, directory: Path
) -> Quantized:
    """Write the int8 .param and .bin of an fp32 or fp16 artifact; layers kept in float are stored in float16.

    images: as in `quantize.int8.base.Quantizer`. Raises ConversionError for weights that are not float, unknown layers
    with weights, and no images.
    """
    if len(images) == 0:
        raise ConversionError("static int8 needs calibration images; give some with --calib")
    nodes, net = _read(artifact), _float_net(artifact)
    chosen = {n.name for n in nodes if _can_be_int8(n)} - recipe.kept_names
    ranges = measure_ranges(net, nodes, images)
    masks = fp16_masks(nodes, ranges)
    scales = input_scales(net, [n for n in nodes if n.name in chosen], ranges.peaks, images)
    param = artifact.file(".param")
    parts, added = [], {}
    for node in nodes:
        if node.name in chosen:
            raw, added[node.name] = _int8_layer(node, scales.get(node.name))
            parts.append(raw)
        else:
            parts.append(b"".join(map(stored, node.tensors)))
    (directory / artifact.file(".bin").name).write_bytes(b"".join(parts))
    added |= {name: f"{added.get(name, '')} {mask.param}".lstrip() for name, mask in masks.items()}
    (directory / param.name).write_text(add_params(without_masks(param.read_text()), added))
    manifest = artifact.manifest
    return Quantized(
        inputs=manifest.inputs,
        outputs=manifest.outputs,
        image=manifest.image,
        kept=with_masks(_kept(nodes, recipe), masks),
        method=METHOD,
        tools=versions(*PACKAGES),
    )


def input_scales(
    net: FloatNet, nodes: list[Node], peaks: Mapping[str, float], images: NDArray[np.uint8]
) -> dict[str, float]:
    """Return the input scale of each layer by name (q = round(scale * x)), layers in file order; Gemm has none.

    peaks: the largest magnitude of each blob on the same images.
    """
    clipped = [node.inputs[0] for node in nodes if node.kind == "Convolution"]
    histograms = blob_histograms(net, {blob: peaks[blob] for blob in clipped}, images)
    scales = {}
    for node in nodes:
        if node.kind == "Gemm":
            continue
        blob = node.inputs[0]
        clip = best_clip(histograms[blob]) if node.kind == "Convolution" else peaks[blob]
        scales[node.name] = LEVELS / clip if clip > SMALLEST else 1.0
    return scales


def quantize_weights(rows: F32, sum_limit: float = math.inf) -> tuple[NDArray[np.int8], F32]:
    """Return rows (R, N) in int8 and each row's scale float32 (R,): q = round(scale * w).

    The largest weight of a row becomes 127, or less where the row's magnitudes would sum to more than `sum_limit`.
    """
    magnitudes = np.abs(rows.astype(np.float64))
    # the scale of a row of zeros does not matter, but must be finite
    magnitudes[magnitudes.max(axis=1) < SMALLEST] = 1.0
    largest, sums = magnitudes.max(axis=1), magnitudes.sum(axis=1)
    # rounding adds half a step a weight at most
    room = sum_limit - rows.shape[1] / 2
    scales = np.minimum(LEVELS / largest, room / sums).astype(np.float32)
    quantized = np.rint(rows.astype(np.float64) * scales[:, None].astype(np.float64))
    return np.clip(quantized, -LEVELS, LEVELS).astype(np.int8), scales


def _int8_layer(node: Node, input_scale: float | None) -> tuple[bytes, str]:
    """Return a layer's int8 part of the .bin, and its parameter in the .param."""
    weights, *bias = node.tensors
    if input_scale is None:
        quantized, scales = quantize_weights(weights.values.reshape(1, -1))
        tail = [half(tensor.values) for tensor in bias]
        return b"".join([int8(quantized), *tail, full(scales)]), "18=2"
    limit = WINOGRAD_SUM if _may_run_winograd(node) else math.inf
    quantized, scales = quantize_weights(weights.values.reshape(node.params[0], -1), limit)
    tail = [full(tensor.values) for tensor in bias]
    entry = full(np.array([input_scale], np.float32))
    return b"".join([int8(quantized), *tail, full(scales), entry]), "8=2"


def _may_run_winograd(node: Node) -> bool:
    params = node.params
    if node.kind != "Convolution":
        return False
    kernel, dilation, stride = params.get(1, 0), params.get(2, 1), params.get(3, 1)
    shape = (kernel, params.get(11, kernel), dilation, params.get(12, dilation))
    return shape == (3, 3, 1, 1) and (stride, params.get(13, stride)) == (1, 1)


def _can_be_int8(node: Node) -> bool:
    return bool(node.tensors) and _float_reason(node) is None


def _float_reason(node: Node) -> str | None:
    """Return the reason why a layer with weights always stays in float, None where it need not."""
    match node.kind:
        case "Convolution":
            return NARROW if _input_channels(node) <= FEW_CHANNELS else None
        case "ConvolutionDepthWise":
            return DEPTHWISE
        case "InnerProduct":
            return None
        case "Gemm" if all(node.params.get(key, 0) == value for key, value in GEMM.items()):
            return None
        case _:
            return NO_KERNEL


def _input_channels(node: Node) -> int:
    width = node.params.get(1, 0)
    return node.tensors[0].values.size // (node.params[0] * width * node.params.get(11, width))


def _kept(nodes: list[Node], recipe: Recipe) -> tuple[KeptLayer, ...]:
    """Return every layer whose weights stay in float: those of the recipe, and those that always do."""
    named = {layer.layer: layer for layer in recipe.kept}
    kept = []
    for node in nodes:
        if not any(tensor.tagged for tensor in node.tensors):
            continue
        reason = _float_reason(node)
        if reason is not None:
            kept.append(KeptLayer(layer=node.name, precision="fp16", reason=reason))
        elif node.name in named:
            kept.append(named[node.name])
    return tuple(kept)


def _read(artifact: Artifact) -> list[Node]:
    return read_nodes(artifact.file(".param"), artifact.file(".bin"))


def _float_net(artifact: Artifact) -> FloatNet:
    manifest = artifact.manifest
    blob = engine_name(manifest.inputs[0])
    return FloatNet(artifact.file(".param"), artifact.file(".bin"), blob, manifest.image)
