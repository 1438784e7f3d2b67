"""Rules between the fields of a model spec that their types cannot state, checked where artifact.json is read."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from runtimes.codec_spec import (
    AssociativeEmbeddingCodec,
    DenseCodec,
    HeatmapCodec,
    IntegralCodec,
    PafCodec,
    RTMDetCodec,
    SimCCCodec,
    YoloCodec,
    YOLOXCodec,
    YxsCodec,
)
from runtimes.spec import KeypointsSpec, ModelSpec, TensorSpec

# Names of 4-axis layouts, and the axes of height and width.
SPATIAL = {"NCHW": (2, 3), "NHWC": (1, 2)}
_RANGES = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-32768, 32767), "uint16": (0, 65535)}


def contradictions(spec: ModelSpec) -> Iterator[str]:
    """Yield, in words that name the field, what fits no model: indices outside a set, shapes of another size."""
    for field, tensors in (("inputs", spec.inputs), ("outputs", spec.outputs)):
        if (twice := _repeated(tensor.name for tensor in tensors)) is not None:
            yield f"{field} has two tensors called {twice!r}"
    yield from _image(spec)
    if spec.keypoints is not None:
        yield from _keypoints(spec.keypoints)
        yield from _keypoint_axes(spec, len(spec.keypoints.names))
    if spec.classes is not None:
        if (twice := _repeated(spec.classes)) is not None:
            yield f"classes has {twice!r} twice"
        yield from _class_axes(spec, len(spec.classes))
    if (spec.is_top_down or spec.is_embedding) and spec.crop.kind.startswith("letterbox"):
        yield f"crop.kind is {spec.crop.kind}, the whole frame; task {spec.task} takes a person's box"
    yield from _zero_points(spec)
    yield from _codec(spec)


def _codec(spec: ModelSpec) -> Iterator[str]:
    match spec.codec:
        case PafCodec():
            yield from _limbs(spec.codec, len(spec.keypoints.names) if spec.keypoints else 0)
        case AssociativeEmbeddingCodec():
            yield from _embedding(spec.codec, len(spec.keypoints.names) if spec.keypoints else 0)
        case RTMDetCodec(strides=strides):
            yield from _levels(spec, strides)
        case SimCCCodec() | HeatmapCodec() if spec.codec.sigma is not None:
            yield from _peak_width(spec, spec.codec.sigma)
        case HeatmapCodec() if spec.codec.blur_kernel % 2 == 0:
            yield f"codec.blur_kernel is {spec.codec.blur_kernel}, an odd number of bins is wanted"


def _image(spec: ModelSpec) -> Iterator[str]:
    width, height = spec.image.wh
    for tensor in spec.inputs:
        axes = SPATIAL.get(tensor.layout)
        if axes is None or len(tensor.shape) != 4:
            continue
        size = tuple(tensor.shape[axis] for axis in axes)
        if any(known not in {-1, side} for known, side in zip(size, (height, width), strict=True)):
            yield f"image.wh is {width}x{height}, the input's shape says {size[1]}x{size[0]}"


def _keypoints(keypoints: KeypointsSpec) -> Iterator[str]:
    count = len(keypoints.names)
    if (twice := _repeated(keypoints.names)) is not None:
        yield f"keypoints.names has {twice!r} twice"
    for field, pairs in (("edges", keypoints.edges), ("pairs", keypoints.pairs)):
        for pair in pairs:
            if not all(0 <= index < count for index in pair):
                yield f"keypoints.{field} has {list(pair)}, the keypoints are 0 to {count - 1}"
    paired = [index for pair in keypoints.pairs for index in pair]
    if (twice := _repeated(paired)) is not None:
        yield f"keypoints.pairs has keypoint {twice} twice"
    if keypoints.sigmas and len(keypoints.sigmas) != count:
        yield f"keypoints.sigmas has {len(keypoints.sigmas)} values for {count} keypoints"


def _limbs(codec: PafCodec, count: int) -> Iterator[str]:
    channels = 2 * len(codec.limbs)
    if count and codec.min_keypoints > count:
        yield f"codec.min_keypoints is {codec.min_keypoints}, there are {count} keypoints"
    for index, limb in enumerate(codec.limbs):
        if not all(0 <= end < count for end in limb.ends):
            yield f"codec.limbs[{index}].ends is {list(limb.ends)}, the keypoints are 0 to {count - 1}"
        if not all(0 <= channel < channels for channel in limb.channels):
            yield (
                f"codec.limbs[{index}].channels is {list(limb.channels)}, {len(codec.limbs)} limbs have"
                f" channels 0 to {channels - 1}"
            )


def _embedding(codec: AssociativeEmbeddingCodec, count: int) -> Iterator[str]:
    for name, side in (("nms_kernel", codec.nms_kernel), ("blur_kernel", codec.blur_kernel)):
        if side % 2 == 0:
            yield f"codec.{name} is {side}, an odd number of bins is wanted"
    if count and codec.keypoint_order and sorted(codec.keypoint_order) != list(range(count)):
        yield f"codec.keypoint_order is {list(codec.keypoint_order)}, each of 0 to {count - 1} is wanted once"
    if count and codec.min_keypoints > count:
        yield f"codec.min_keypoints is {codec.min_keypoints}, there are {count} keypoints"


def _levels(spec: ModelSpec, strides: tuple[int, ...]) -> Iterator[str]:
    if len(spec.outputs) != 2 * len(strides):
        yield f"outputs are {len(spec.outputs)}, {len(strides)} codec.strides want {2 * len(strides)}"
    for tensor, stride in zip(spec.outputs, 2 * strides, strict=False):
        if len(tensor.shape) not in {0, 4}:
            yield f"outputs: {tensor.name} has shape {list(tensor.shape)}, 4 axes are wanted"
            continue
        cells = tuple(math.ceil(side / stride) for side in spec.image.wh[::-1])
        if any(size not in {-1, side} for size, side in zip(tensor.shape[2:], cells, strict=False)):
            yield (
                f"outputs: {tensor.name} has shape {list(tensor.shape)}, codec.strides of {stride} at "
                f"{spec.image.wh[0]}x{spec.image.wh[1]} give {cells[0]} rows of {cells[1]}"
            )


def _peak_width(spec: ModelSpec, sigma: tuple[float, float]) -> Iterator[str]:
    """Compare the width of a keypoint's peak with the map that it lies on."""
    bins: tuple[float, ...] = spec.image.wh
    if isinstance(spec.codec, SimCCCodec):
        bins = tuple(side * spec.codec.split_ratio for side in bins)
    elif len(shape := next(iter(spec.outputs), TensorSpec(name="")).shape) == 4:
        bins = tuple(
            size if size > 0 else side for size, side in zip(shape[:1:-1], bins, strict=True)
        )
    if any(width > size for width, size in zip(sigma, bins, strict=True)):
        yield f"codec.sigma is {list(sigma)}, a map has {bins[0]:g} x {bins[1]:g} bins"


def _zero_points(spec: ModelSpec) -> Iterator[str]:
    for tensor in (*spec.inputs, *spec.outputs):
        low, high = _RANGES.get(tensor.dtype, (-math.inf, math.inf))
        if tensor.zero_point is not None and not low <= tensor.zero_point <= high:
            yield f"zero_point of {tensor.name} is {tensor.zero_point}, {tensor.dtype} has {low} to {high}"


def _keypoint_axes(spec: ModelSpec, count: int) -> Iterator[str]:
    """Compare the sizes that outputs state with those that the codec reads; -1 and unstated shapes fit."""
    width, height = spec.image.wh
    match spec.codec:
        case SimCCCodec(split_ratio=ratio):
            wanted = [(count, round(side * ratio)) for side in (width, height)]
            yield from _sizes(spec.outputs, (1, 2), wanted)
        case HeatmapCodec() | IntegralCodec():
            yield from _sizes(spec.outputs, (1,), [(count,)])
        case AssociativeEmbeddingCodec():
            given = sum(_channels(tensor) for tensor in spec.outputs)
            if given <= count:
                yield f"outputs have {given:.0f} channels, {count} keypoints and their tags want more"
            if len(spec.outputs) > 1:
                yield from _sizes(spec.outputs, (1,), [(count,)])
        case YxsCodec():
            yield from _sizes(spec.outputs, (2, 3), [(count, 3)])
        case PafCodec(limbs=limbs):
            given = sum(_channels(tensor) for tensor in spec.outputs)
            total = count + 1 + 2 * len(limbs)
            if not math.isnan(given) and given != total:
                yield (
                    f"outputs have {given:.0f} channels, {count} keypoints and {len(limbs)} codec.limbs want {total}"
                )
        case RTMDetCodec() | YOLOXCodec():
            yield "keypoints are given, but codec finds boxes"


def _class_axes(spec: ModelSpec, count: int) -> Iterator[str]:
    """Compare the number of classes with that of the outputs that state one; -1 and unstated shapes fit."""
    points = len(spec.keypoints.names) if spec.keypoints else 0
    match spec.codec:
        case RTMDetCodec(strides=strides):
            scored, axis, others = spec.outputs[: len(strides)], 1, 0
        case DenseCodec():
            scored, axis, others = spec.outputs, 1, 0
        case YOLOXCodec():
            scored, axis, others = spec.outputs, 2, 5
        case YoloCodec(point_values=values):
            scored, axis, others = spec.outputs, 1, 4 + points * values
        case _:
            return
    for tensor in scored:
        size = tensor.shape[axis] if len(tensor.shape) > axis else -1
        if size not in {-1, others + count}:
            yield (
                f"classes has {count} names, output {tensor.name} of shape {list(tensor.shape)} has "
                f"{size - others} classes"
            )


def _sizes(
    tensors: tuple[TensorSpec, ...], axes: tuple[int, ...], wanted: Sequence[tuple[int, ...]]
) -> Iterator[str]:
    for tensor, sizes in zip(tensors, wanted, strict=False):
        for axis, size in zip(axes, sizes, strict=True):
            if len(tensor.shape) > axis and tensor.shape[axis] not in {-1, size}:
                yield f"outputs: {tensor.name} has shape {list(tensor.shape)}, axis {axis} should be {size}"


def _channels(tensor: TensorSpec) -> float:
    """Return the channels of maps (B, C, h, w), NaN where they are not stated."""
    return tensor.shape[1] if len(tensor.shape) == 4 and tensor.shape[1] > 0 else math.nan


def _repeated(values: Iterable[object]) -> object:
    """Return a value that comes twice, or None."""
    return next((value for value, times in Counter(values).items() if times > 1), None)
