"""Wrap a model that somebody else converted: copy its files, say what it is, try it, and keep what it said.

There is no PyTorch model to compare with, so `passed` stays None: `verify` then tells whether another machine gets what
this one got.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from edge.catalog.lookup import find
from edge.catalog.specs import published_spec
from edge.parity.reference import Reference, make_reference, save_reference
from edge.parity.verify import run_batches
from export.inputs import drawn_inputs
from runtimes.artifact import REFERENCE, Artifact
from runtimes.base import RunOptions
from runtimes.codec_spec import (
    BoxesCodec,
    Codec,
    DenseCodec,
    HeatmapCodec,
    IntegralCodec,
    PafCodec,
    RTMDetCodec,
    SimCCCodec,
    YOLOXCodec,
    YxsCodec,
)
from runtimes.errors import ArtifactError, EngineError, InputError
from runtimes.files import publish, refuse_existing, seal, staging
from runtimes.naming import MODEL_NAME, Target, artifact_name
from runtimes.parity_spec import RawParity
from runtimes.registry import engine_version, installed_engine, open_session
from runtimes.spec import (
    FORMAT,
    Calibration,
    KeptLayer,
    Lineage,
    Manifest,
    ModelSpec,
    Precision,
    Runtime,
    model_spec,
)

# suffix of the graph file: (runtime, suffix of the weights beside it)
LAYOUTS: dict[str, tuple[Runtime, str | None]] = {
    ".param": ("ncnn", ".bin"),
    ".xml": ("openvino", ".bin"),
    ".tflite": ("tflite", None),
    ".onnx": ("onnxruntime", None),
}


# Storage of the published files that `--like` knows.
PRECISIONS: dict[tuple[str, Runtime], Precision] = {
    ("tinypose-256x192", "openvino"): "fp16",
    ("tinypose-256x192", "ncnn"): "fp16",
    ("movenet-lightning", "tflite"): "int8",
    ("rtmdet-nano", "onnxruntime"): "fp32",
    ("openpose-mobilenet-tf", "onnxruntime"): "fp32",
}


POSE_CODECS = (SimCCCodec, HeatmapCodec, IntegralCodec, YxsCodec, PafCodec)


class ImportSpec(ModelSpec, frozen=True, kw_only=True):
    """What a user writes about a foreign model: artifact.json's keys but files, parity and tools."""

    runtime: Runtime
    precision: Precision = "fp32"
    lineage: Lineage = Lineage(weights="foreign")
    kept: tuple[KeptLayer, ...] = ()
    calibration: Calibration | None = None
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Imported:
    """A wrapped artifact and its (unjudged) parity record."""

    artifact: Artifact
    parity: RawParity

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(record.bytes for record in self.artifact.manifest.files)


def read_spec(path: Path) -> ImportSpec:
    """Read SPEC.json strictly; raises InputError with the path of the bad field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ImportSpec)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: {error}; SPEC.json has artifact.json's keys but files, parity, tools"
        ) from error


def like_spec(name: str, runtime: Runtime) -> ImportSpec:
    """Return what a catalogue name says about a published file; raises InputError where it knows none."""
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


def engine_files(given: list[Path]) -> tuple[Runtime, list[Path]]:
    """Return the runtime that the files belong to and all of them, weights beside the graph included."""
    graphs = [path for path in given if path.suffix in LAYOUTS]
    if len(graphs) != 1:
        known = ", ".join(f"*{suffix}" for suffix in LAYOUTS)
        raise InputError(f"give exactly one graph file ({known}), got {', '.join(map(str, given))}")
    runtime, weights = LAYOUTS[graphs[0].suffix]
    files = [graphs[0]]
    if weights:
        named = [path for path in given if path.suffix == weights]
        files += named or [graphs[0].with_suffix(weights)]
    if extra := [str(path) for path in given if path not in files]:
        raise InputError(f"{', '.join(extra)}: not part of a {runtime} model")
    for path in files:
        if not path.is_file():
            needed = (
                f"; a {runtime} model is a *{graphs[0].suffix} and a *{weights}" if weights else ""
            )
            raise InputError(f"{path}: no such file{needed}")
    return runtime, files


def import_model(
    files: list[Path], spec: ImportSpec, out: Path, *, force: bool = False
) -> Imported:
    """Copy the engine files into an artifact, run it on drawn inputs, and publish it.

    Raises InputError for a spec that contradicts itself and for files that do not belong to spec.runtime, EngineError
    where the engine refuses them or gives something that the spec's codec cannot decode.
    """
    check_spec(spec)
    runtime, paths = engine_files(files)
    if runtime != spec.runtime:
        raise InputError(f"the files are {runtime}, the spec says {spec.runtime}")
    target = out / artifact_name(spec, Target(runtime, spec.precision))
    refuse_existing(target, force=force)
    inputs = drawn_inputs(spec)
    with staging(out) as staged:
        for path in paths:
            shutil.copyfile(path, staged / path.name)
        manifest = _manifest(spec)
        try:
            reference = _try(seal(staged, manifest), inputs.images)
        except (ArtifactError, EngineError) as error:
            # the directory that the adapter names will be gone when somebody reads this
            text = str(error).replace(str(staged), str(paths[0].resolve().parent))
            raise type(error)(text) from error
        save_reference(staged / REFERENCE, reference)
        parity = RawParity(
            reference="none",
            passed=None,
            samples=len(inputs.images),
            inputs=inputs.label,
        )
        sealed = seal(staged, msgspec.structs.replace(manifest, parity=(parity,)))
        return Imported(publish(sealed, target, force=force), parity)


def check_spec(spec: ImportSpec) -> None:
    """Raise InputError where the parts of a spec contradict each other."""
    axes = _output_axes(spec)
    posed = spec.gives_keypoints
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
            f"{len(spec.outputs)} outputs, codec {_kind(spec.codec)} reads {len(axes)}",
        ),
        (
            posed == isinstance(spec.codec, POSE_CODECS)
            and spec.is_dense == isinstance(spec.codec, DenseCodec),
            f"codec {_kind(spec.codec)} does not belong to task {spec.task}",
        ),
        (posed == (spec.keypoints is not None), "a pose model, and no other, has keypoints"),
    )
    for holds, problem in rules:
        if not holds:
            raise InputError(f"the spec contradicts itself: {problem}")


def _try(artifact: Artifact, images: np.ndarray) -> Reference:
    """Run the artifact and decode what it says; raises EngineError where that is not what its manifest describes."""
    manifest = artifact.manifest
    session = open_session(artifact, RunOptions())
    try:
        outputs = run_batches(session, manifest.inputs[0].name, images)
    finally:
        session.close()
    for tensor, axes in zip(manifest.outputs, _output_axes(manifest), strict=True):
        got = outputs[tensor.name].shape
        if len(got) != axes:
            raise EngineError(
                f"output {tensor.name} has shape {got}, codec {_kind(manifest.codec)} reads {axes} "
                "axes; correct the spec"
            )
    label = f"itself, when imported with {installed_engine(manifest.runtime)}"
    reference = make_reference(images, outputs, model_spec(manifest), label)
    names = manifest.keypoints.names if manifest.keypoints else ()
    given = {poses.xy.shape[1] for poses in reference.poses} - {len(names)}
    if given:
        raise EngineError(
            f"the file gives {given.pop()} keypoints, the spec names {len(names)}; correct the spec"
        )
    return reference


def _output_axes(spec: ModelSpec) -> tuple[int, ...]:
    """Return how many axes each output that the codec reads has, the batch included."""
    match spec.codec:
        case SimCCCodec():
            return (3, 3)
        case HeatmapCodec() | IntegralCodec() | YxsCodec() | DenseCodec():
            return (4,)
        case PafCodec():
            return (4,) if len(spec.outputs) == 1 else (4, 4)
        case RTMDetCodec():
            return (4,) * (2 * len(spec.codec.strides))
        case BoxesCodec():
            return (3, 2)
        case YOLOXCodec():
            return (3,)


def _kind(codec: Codec) -> object:
    return type(codec).__struct_config__.tag


def _manifest(spec: ImportSpec) -> Manifest:
    fields = {name: getattr(spec, name) for name in ImportSpec.__struct_fields__}
    engine = (installed_engine(spec.runtime) or spec.runtime).replace("_", "-")
    return Manifest(**fields, tools={engine: engine_version(spec.runtime) or "unknown"})
