"""Decoders of raw outputs to keypoints, boxes or maps in input pixels: one module a codec, chosen by its struct.

Independent of frames: `Crop.to_frame` maps results back to frame pixels, and `dense.fit_frame` does so for maps.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from edge.codecs import (
    ae,
    boxes,
    dense,
    embedding,
    heatmap,
    integral,
    paf,
    rtmdet,
    simcc,
    yolo,
    yolo_rows,
    yolox,
    yxs,
)
from edge.types import DenseMap, Detections, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import (
    AssociativeEmbeddingCodec,
    BoxesCodec,
    DenseCodec,
    EmbeddingCodec,
    HeatmapCodec,
    IntegralCodec,
    PafCodec,
    RTMDetCodec,
    SimCCCodec,
    YoloCodec,
    YoloRowsCodec,
    YOLOXCodec,
    YxsCodec,
)
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

T = TypeVar("T", Keypoints, Detections, DenseMap)
Decoded = list[Keypoints] | list[Detections] | list[DenseMap]

# A decoder takes the output tensors in the order of spec.outputs, its own codec struct, and the whole spec.
_DECODERS: dict[type, Callable[[Sequence[Array], Any, ModelSpec], Decoded]] = {
    SimCCCodec: simcc.decode,
    HeatmapCodec: heatmap.decode,
    IntegralCodec: integral.decode,
    YxsCodec: yxs.decode,
    PafCodec: paf.decode,
    AssociativeEmbeddingCodec: ae.decode,
    RTMDetCodec: rtmdet.decode,
    YOLOXCodec: yolox.decode,
    BoxesCodec: boxes.decode,
    YoloCodec: yolo.decode,
    YoloRowsCodec: yolo_rows.decode,
    DenseCodec: dense.decode,
    EmbeddingCodec: embedding.decode,
}


def decode(outputs: Mapping[str, Array], spec: ModelSpec) -> Decoded:
    """Decode the outputs of a batch: one `Keypoints`, `Detections` or `DenseMap` an input, in input pixels.

    outputs: {name: (B, ...)} as `Session.run` returns them. Pose codecs give one person
    (N = 1), `paf` and `ae` any number.
    Raises InputError where an output that the spec names is missing.
    """
    missing = [tensor.name for tensor in spec.outputs if tensor.name not in outputs]
    if missing:
        raise InputError(
            f"{spec.model}: no output {', '.join(missing)} among {', '.join(sorted(outputs))}; "
            "check the outputs in artifact.json"
        )
    tensors = [outputs[tensor.name] for tensor in spec.outputs]
    return _DECODERS[type(spec.codec)](tensors, spec.codec, spec)


def decode_poses(outputs: Mapping[str, Array], spec: ModelSpec) -> list[Keypoints]:
    """Return one `Keypoints` an input; raises InputError where the model's codec gives something else."""
    return _all_of(Keypoints, "keypoints", decode(outputs, spec), spec)


def decode_boxes(outputs: Mapping[str, Array], spec: ModelSpec) -> list[Detections]:
    """Return one `Detections` an input; raises InputError where the model's codec gives something else."""
    return _all_of(Detections, "boxes", decode(outputs, spec), spec)


def decode_map(outputs: Mapping[str, Array], spec: ModelSpec) -> list[DenseMap]:
    """Return one `DenseMap` an input; raises InputError where the model's codec gives something else."""
    return _all_of(DenseMap, "a map", decode(outputs, spec), spec)


def _all_of(kind: type[T], wanted: str, decoded: Decoded, spec: ModelSpec) -> list[T]:
    items = [item for item in decoded if isinstance(item, kind)]
    if len(items) != len(decoded):
        raise InputError(
            f"{spec.model}: codec {type(spec.codec).__struct_config__.tag} gives {type(decoded[0]).__name__}, and "
            f"task {spec.task} needs {wanted}; check task and codec in artifact.json"
        )
    return items
