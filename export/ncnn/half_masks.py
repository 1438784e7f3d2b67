"""Feature masks (`31=`) for layers that ncnn must not compute in float16 on ARM, from ranges seen on images.

ARM cores with asimdhp compute in float16 wherever ncnn may; x86 never does, so an overflow does not show there. The
kernels hold in float16 (from ncnn's src/layer/arm, *_asimdhp.cpp; Net::get_masked_option gives the bits' meaning):

- every blob that a layer with such a kernel reads or writes (fp16 storage);
- the running sums of Convolution, Deconvolution, InnerProduct and Gemm, and of MatMul, which calls Gemm: the output is
  the sum, or follows an activation that makes an overflow harmless (ReLU);
- the products of queries and keys in SDPA: two Gemms, and the scale comes after the sum. Scaled scores are stored like
  a blob, in float16 unless storage is masked too;
- the sums of average pooling with a window (global and adaptive pooling sum in float32);
- the sums and sums of squares of LayerNorm until November 2024. Today's LayerNorm, RMSNorm, GroupNorm and InstanceNorm
  sum in float32; they are masked all the same, since a board may have an older ncnn and the mask costs little.

Reduction and Normalize have no float16 kernel. Not covered: intermediate values of Winograd's transforms, a Gemm's
alpha other than 1, and an SDPA's scale (parameter 6) other than that of its width.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from export.ncnn.blobs import FloatNet, ReadBlob, visit_blobs
from export.ncnn.param_file import MASK, Layer
from runtimes.spec import KeptLayer

# half of float16's largest number, 65504: other images may reach further than those measured
LIMIT = 32768.0
NO_ARITHMETIC, NO_STORAGE = 1, 2
SUMMING = frozenset({"LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm", "SDPA"})
PRECISIONS = {
    NO_ARITHMETIC: "f32 arithmetic",
    NO_ARITHMETIC | NO_STORAGE: "f32 arithmetic, storage",
}


@dataclass(frozen=True, slots=True)
class Ranges:
    """Largest magnitude in each blob, by its name, and of the sums inside layers that sum in float16, by theirs.

    scores: of the scaled scores of attention, by the layer's name.
    """

    peaks: Mapping[str, float]
    sums: Mapping[str, float]
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeatureMask:
    """Bits of a layer's `31=`, and the range that asks for them, in words."""

    bits: int
    figure: str

    @property
    def param(self) -> str:
        """Return the mask as ncnn's parameter."""
        return f"{MASK}{self.bits}"


def measure_ranges(net: FloatNet, layers: Sequence[Layer], images: NDArray[np.uint8]) -> Ranges:
    """Run the net once on every image, uint8 BGR (N, H, W, 3), and return how far it reaches; layers in file order.

    Raises ConversionError as `export.ncnn.blobs.visit_blobs`.
    """
    # a Split's outputs are its input
    writing = [layer for layer in layers if layer.kind != "Split"]
    peaks = {blob: 0.0 for layer in writing for blob in layer.outputs}
    sums = {layer.name: 0.0 for layer in layers if layer.kind in SUMMING or _window(layer)}
    scores = {layer.name: 0.0 for layer in layers if layer.kind == "SDPA"}

    def visit(read: ReadBlob) -> None:
        for layer in writing:
            if layer.name in sums:
                sums[layer.name] = max(sums[layer.name], inner_sum(layer, read))
            if layer.name in scores:
                width = read(layer.inputs[0]).shape[-1]
                scores[layer.name] = sums[layer.name] / math.sqrt(width)
            for blob in layer.outputs:
                peaks[blob] = max(peaks[blob], _largest(read(blob)))

    visit_blobs(net, images, visit)
    for layer in layers:
        if layer.kind == "Split":
            peaks.update(dict.fromkeys(layer.outputs, peaks[layer.inputs[0]]))
    return Ranges(peaks, sums, scores)


def inner_sum(layer: Layer, read: ReadBlob) -> float:
    """Return the largest magnitude of the sums inside a layer; read: returns blobs on one image."""
    values = read(layer.inputs[0]).astype(np.float64)
    match layer.kind:
        case "SDPA":
            keys = read(layer.inputs[1]).astype(np.float64)
            # heads may share keys
            keys = np.repeat(keys, len(values) // len(keys), axis=0)
            return _largest(values @ keys.swapaxes(1, 2))
        case "Pooling":
            return _window(layer) * _largest(read(layer.outputs[0]))
        case "RMSNorm":
            return float(np.square(_groups(layer, values)).sum(axis=1).max())
        case _:
            rows = _groups(layer, values)
            centred = rows - rows.mean(axis=1, keepdims=True)
            return max(_largest(rows.sum(axis=1)), _largest(np.square(centred).sum(axis=1)))


def fp16_masks(layers: Sequence[Layer], ranges: Ranges) -> dict[str, FeatureMask]:
    """Return the mask of each layer that must not run in float16, by its name; layers in file order.

    A sum beyond LIMIT masks float16 arithmetic of its layer. A blob or a scaled score beyond LIMIT also masks float16
    storage of the layers that write and read it, and of all before them: ncnn's convert_layout does not widen the input
    of a layer whose storage is masked, so that it must arrive in float32.
    """
    wide = {blob: peak for blob, peak in ranges.peaks.items() if peak > LIMIT}
    scores = {name: score for name, score in ranges.scores.items() if score > LIMIT}
    largest = max((*wide.values(), *scores.values()), default=0.0)
    masks = {}
    full: set[str] = set()
    for layer in reversed(layers):
        own = [wide[blob] for blob in (*layer.inputs, *layer.outputs) if blob in wide]
        own += [scores[layer.name]] if layer.name in scores else []
        held = ranges.sums.get(layer.name, 0.0)
        if layer.kind == "Input":
            continue  # it computes nothing, and its output is float32
        if own or not full.isdisjoint(layer.outputs):
            full.update(layer.inputs)
            figure = f"|x| up to {max(own, default=largest):.4g}{'' if own else ' after it'}"
            masks[layer.name] = FeatureMask(NO_ARITHMETIC | NO_STORAGE, figure)
        elif held > LIMIT:
            masks[layer.name] = FeatureMask(NO_ARITHMETIC, f"a sum of |x| up to {held:.4g}")
    return {layer.name: masks[layer.name] for layer in layers if layer.name in masks}


def with_masks(
    kept: Sequence[KeptLayer], masks: Mapping[str, FeatureMask]
) -> tuple[KeptLayer, ...]:
    """Return `kept` with the masks recorded: one entry a layer, joined where its weights are kept too."""
    entries = {each.layer: each for each in kept}
    for name, mask in masks.items():
        precision = PRECISIONS[mask.bits]
        reason = f"basis: range; {mask.figure}"
        if (known := entries.get(name)) is not None:
            precision, reason = f"{known.precision}, {precision}", f"{known.reason}; {reason}"
        entries[name] = KeptLayer(layer=name, precision=precision, reason=reason)
    return tuple(entries.values())


def _largest(values: NDArray[np.floating]) -> float:
    return float(max(values.max(initial=0), -values.min(initial=0)))


def _groups(layer: Layer, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a normalisation takes together, a row each."""
    match layer.kind:
        case "GroupNorm":
            return values.reshape(layer.params.get(0, 1), -1)
        case "InstanceNorm":
            return values.reshape(len(values), -1)
        case _:
            return values.reshape(-1, layer.params[0])


def _window(layer: Layer) -> int:
    """Return the number of values in an average pooling's window; 0 for layers that average none in float16."""
    params = layer.params
    if layer.kind != "Pooling" or params.get(0, 0) != 1 or params.get(4, 0) or params.get(7, 0):
        return 0
    return params.get(1, 0) * params.get(11, params.get(1, 0))
