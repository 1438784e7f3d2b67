"""Specs of models that others converted: read from SPEC.json or taken from the catalogue, and checked."""

from pathlib import Path

from edge.catalog.lookup import find
from edge.catalog.specs import published_spec
from runtimes.codec_spec import (
    AssociativeEmbeddingCodec,
    BoxesCodec,
    Codec,
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
from runtimes.naming import MODEL_NAME
from runtimes.record import read_json
from runtimes.spec import FORMAT, Calibration, KeptLayer, Lineage, ModelSpec, Precision, Runtime
from runtimes.spec_rules import contradictions

# Precision of the published files that `--like` knows.
PRECISIONS: dict[tuple[str, Runtime], Precision] = {
    ("tinypose-256x192", "openvino"): "fp16",
    ("tinypose-256x192", "ncnn"): "fp16",
    ("movenet-lightning", "tflite"): "int8",
    ("rtmdet-nano", "onnxruntime"): "fp32",
    ("openpose-mobilenet-tf", "onnxruntime"): "fp32",
}
POSE_CODECS = (
    SimCCCodec,
    HeatmapCodec,
    IntegralCodec,
    YxsCodec,
    PafCodec,
    AssociativeEmbeddingCodec,
)
# Of detectors and of pose models.
YOLO_CODECS = (YoloCodec, YoloRowsCodec)


class ImportSpec(ModelSpec, frozen=True, kw_only=True):
    """The keys of SPEC.json: those of artifact.json without files, parity and tools."""

    runtime: Runtime
    precision: Precision = "fp32"
    lineage: Lineage = Lineage(weights="foreign")
    kept: tuple[KeptLayer, ...] = ()
    calibration: Calibration | None = None
    format: int = FORMAT


def read_spec(path: Path) -> ImportSpec:
    """Read SPEC.json strictly; raises InputError with the path of the bad field."""
    return read_json(
        path,
        ImportSpec,
        "SPEC.json has artifact.json's keys without files, parity and tools",
    )


def like_spec(name: str, runtime: Runtime) -> ImportSpec:
    """Return the spec of the published file of a catalogue name; raises InputError where none is known."""
    entry = find(name)
    known = published_spec(entry.name, runtime)
    if known is None:
        runtimes = ", ".join(entry.importable_runtimes) or "none"
        raise InputError(
            f"no published {runtime} file of {name} is known (known: {runtimes}); write a --spec SPEC.json"
        )
    lineage = Lineage(
        weights="foreign",
        licences=(entry.licence,),
        commercial_use=entry.commercial_use,
        checkpoint=entry.url or "",
    )
    fields = {field: getattr(known, field) for field in ModelSpec.__struct_fields__}
    return ImportSpec(
        **fields, runtime=runtime, precision=PRECISIONS[name, runtime], lineage=lineage
    )


def check_spec(spec: ImportSpec) -> None:
    """Raise InputError where the parts of a spec contradict each other."""
    axes = output_axes(spec)
    is_pose = spec.gives_keypoints
    rules = (
        (spec.format == FORMAT, f"format is {spec.format}, write {FORMAT}"),
        (
            MODEL_NAME.fullmatch(spec.model) is not None,
            f"model is {spec.model!r}, a name has letters, digits and . _ + - only",
        ),
        (min(spec.image.wh) > 0, f"image.wh is {spec.image.wh}, give the input size in pixels"),
        (len(spec.inputs) == 1, f"{len(spec.inputs)} inputs, give the one that takes the image"),
        (
            len(spec.outputs) == len(axes),
            f"{len(spec.outputs)} outputs, codec {codec_tag(spec.codec)} reads {len(axes)}",
        ),
        (
            _decodes(spec),
            f"codec {codec_tag(spec.codec)} does not belong to task {spec.task}",
        ),
        (is_pose == (spec.keypoints is not None), "a pose model, and no other, has keypoints"),
    )
    for holds, problem in rules:
        if not holds:
            raise InputError(f"the spec contradicts itself: {problem}")
    if problem := next(contradictions(spec), ""):
        raise InputError(f"the spec contradicts itself: {problem}")


def _decodes(spec: ImportSpec) -> bool:
    """Return whether the codec gives what the task is about: keypoints, boxes, a map, or an embedding."""
    if isinstance(spec.codec, YOLO_CODECS):
        return spec.is_bottom_up or spec.is_detector
    return (spec.gives_keypoints, spec.is_dense, spec.is_embedding) == (
        isinstance(spec.codec, POSE_CODECS),
        isinstance(spec.codec, DenseCodec),
        isinstance(spec.codec, EmbeddingCodec),
    )


def output_axes(spec: ModelSpec) -> tuple[int, ...]:  # noqa: PLR0911  # one line a codec
    """Return the number of axes of each output that the codec reads, the batch included."""
    match spec.codec:
        case SimCCCodec():
            return (3, 3)
        case HeatmapCodec() | IntegralCodec() | YxsCodec() | DenseCodec():
            return (4,)
        case EmbeddingCodec():
            return (4,) if len(spec.outputs[0].shape) == 4 else (2,)
        case PafCodec() | AssociativeEmbeddingCodec():
            return (4,) if len(spec.outputs) == 1 else (4, 4)
        case RTMDetCodec():
            return (4,) * (2 * len(spec.codec.strides))
        case BoxesCodec():
            return (3, 2)
        case YOLOXCodec() | YoloCodec() | YoloRowsCodec():
            return (3,)


def codec_tag(codec: Codec) -> object:
    """Return the codec's name in artifact.json."""
    return type(codec).__struct_config__.tag
