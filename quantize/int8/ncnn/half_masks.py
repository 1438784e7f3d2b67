"""Feature masks (`31=`) for layers that ncnn must not compute in float16 on ARM, from ranges seen in calibration.

ARM cores with asimdhp compute in float16 wherever ncnn may; x86 never does, so an overflow does not show there. The
kernels hold in float16 (from ncnn's src/layer/arm, *_asimdhp.cpp; Net::get_masked_option gives the bits' meaning):

- every blob that a layer with such a kernel reads or writes (fp16 storage);
- the running sums of Convolution, Deconvolution, InnerProduct and Gemm, and of MatMul, which calls Gemm: the output is
  the sum, or follows an activation that makes an overflow harmless (ReLU);
- the products of queries and keys in SDPA: two Gemms, and the scale comes after the sum;
- the sums of average pooling with a window (global and adaptive pooling sum in float32);
- the sums and sums of squares of LayerNorm until November 2024. Today's LayerNorm, RMSNorm, GroupNorm and InstanceNorm
  sum in float32; they are masked all the same, since a board may have an older ncnn and the mask costs little.

Reduction and Normalize have no float16 kernel. Not covered: intermediate values of Winograd's transforms, and a Gemm's
alpha other than 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quantize.int8.ncnn.model_file import Node
from quantize.int8.ncnn.ranges import ReadBlob, visit_blobs
from runtimes.artifact import Artifact
from runtimes.spec import KeptLayer

# half of float16's largest number, 65504: other images may reach further than those of calibration
LIMIT = 32768.0
NO_ARITHMETIC, NO_STORAGE = 1, 2
SUMMING = frozenset({"LayerNorm", "RMSNorm", "GroupNorm", "InstanceNorm", "SDPA"})
PRECISIONS = {
    NO_ARITHMETIC: "f32 arithmetic",
    NO_ARITHMETIC | NO_STORAGE: "f32 arithmetic, storage",
}


@dataclass(frozen=True, slots=True)
class Ranges:
    """Largest magnitude in each blob, by its name, and of the sums inside layers that sum in float16, by theirs."""

    peaks: Mapping[str, float]
    sums: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FeatureMask:
    """Bits of a layer's `31=`, and the range that asks for them, in words."""

    bits: int
    figure: str

    @property
    def param(self) -> str:
        """Return the mask as ncnn's parameter."""
        return f"31={self.bits}"


def measure_ranges(artifact: Artifact, nodes: Sequence[Node], images: NDArray[np.uint8]) -> Ranges:
    """Run the float net once on every image, uint8 BGR (N, H, W, 3), and return how far it reaches.

    Raises ConversionError as `quantize.int8.ncnn.ranges.visit_blobs`.
    """
    # a Split's outputs are its input
    blobs = [blob for node in nodes if node.kind != "Split" for blob in node.outputs]
    summing = [node for node in nodes if node.kind in SUMMING or _window(node)]
    peaks, sums = dict.fromkeys(blobs, 0.0), {node.name: 0.0 for node in summing}

    def visit(read: ReadBlob) -> None:
        for blob in blobs:
            peaks[blob] = max(peaks[blob], _largest(read(blob)))
        for node in summing:
            sums[node.name] = max(sums[node.name], inner_sum(node, read))

    visit_blobs(artifact, images, visit)
    for node in nodes:
        if node.kind == "Split":
            peaks.update(dict.fromkeys(node.outputs, peaks[node.inputs[0]]))
    return Ranges(peaks, sums)


def inner_sum(node: Node, read: ReadBlob) -> float:
    """Return the largest magnitude of the sums inside a layer; read: returns blobs on one image."""
    values = read(node.inputs[0]).astype(np.float64)
    match node.kind:
        case "SDPA":
            keys = read(node.inputs[1]).astype(np.float64)
            # heads may share keys
            keys = np.repeat(keys, len(values) // len(keys), axis=0)
            return _largest(values @ keys.swapaxes(1, 2))
        case "Pooling":
            return _window(node) * _largest(read(node.outputs[0]))
        case "RMSNorm":
            return float(np.square(_groups(node, values)).sum(axis=1).max())
        case _:
            rows = _groups(node, values)
            centred = rows - rows.mean(axis=1, keepdims=True)
            return max(_largest(rows.sum(axis=1)), _largest(np.square(centred).sum(axis=1)))


def fp16_masks(nodes: Sequence[Node], ranges: Ranges) -> dict[str, FeatureMask]:
    """Return the mask of each layer that must not run in float16, by its name; nodes in file order.

    A sum beyond LIMIT masks float16 arithmetic of its layer. A blob beyond LIMIT also masks float16 storage of the
    layers that write and read it, and of all before them: ncnn's convert_layout does not widen the input of a layer
    whose storage is masked, so that it must arrive in float32.
    """
    wide = {blob: peak for blob, peak in ranges.peaks.items() if peak > LIMIT}
    masks = {}
    full: set[str] = set()
    for node in reversed(nodes):
        own = [wide[blob] for blob in (*node.inputs, *node.outputs) if blob in wide]
        held = ranges.sums.get(node.name, 0.0)
        if node.kind == "Input":
            continue  # it computes nothing, and its output is float32
        if own or not full.isdisjoint(node.outputs):
            full.update(node.inputs)
            figure = f"|x| up to {max(own or wide.values()):.4g}{'' if own else ' after it'}"
            masks[node.name] = FeatureMask(NO_ARITHMETIC | NO_STORAGE, figure)
        elif held > LIMIT:
            masks[node.name] = FeatureMask(NO_ARITHMETIC, f"a sum of |x| up to {held:.4g}")
    return {node.name: masks[node.name] for node in nodes if node.name in masks}


def with_masks(
    kept: Sequence[KeptLayer], masks: Mapping[str, FeatureMask]
) -> tuple[KeptLayer, ...]:
    """Return `kept` with the masks recorded: one entry a layer, joined where its weights are kept too."""
    entries = {layer.layer: layer for layer in kept}
    for name, mask in masks.items():
        precision = PRECISIONS[mask.bits]
        reason = f"basis: range; {mask.figure} in calibration; unverified on ARM"
        if (known := entries.get(name)) is not None:
            precision, reason = f"{known.precision}, {precision}", f"{known.reason}; {reason}"
        entries[name] = KeptLayer(layer=name, precision=precision, reason=reason)
    return tuple(entries.values())


def _largest(values: NDArray[np.floating]) -> float:
    return float(max(values.max(initial=0), -values.min(initial=0)))


def _groups(node: Node, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a normalisation takes together, a row each."""
    match node.kind:
        case "GroupNorm":
            return values.reshape(node.params.get(0, 1), -1)
        case "InstanceNorm":
            return values.reshape(len(values), -1)
        case _:
            return values.reshape(-1, node.params[0])


def _window(node: Node) -> int:
    """Return the number of values in an average pooling's window; 0 for layers that average none in float16."""
    params = node.params
    if node.kind != "Pooling" or params.get(0, 0) != 1 or params.get(4, 0) or params.get(7, 0):
        return 0
    return params.get(1, 0) * params.get(11, params.get(1, 0))
