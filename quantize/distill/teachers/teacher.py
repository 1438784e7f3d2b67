"""Teachers: a PyTorch model or an artifact on any runtime, with its outputs brought to heatmaps."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edge.codecs.integral import normalise
from edge.schema import KeypointSchema
from edge.types import F32, F64, U8, counted
from export import load_weights
from export.torch_session import TorchSession
from quantize.distill.data.targets import heatmap_sigma, simcc_sigma, strides
from runtimes.artifact import MANIFEST, Artifact
from runtimes.base import Outputs, RunOptions, Session
from runtimes.cache.names import find
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.registry import open_session
from runtimes.spec import Lineage, Manifest, ModelSpec


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model that supervises a student.

    identity: a hash of the weights, for caches and tokens. module: the network of a PyTorch model, None for an
    artifact.
    """

    session: Session
    spec: ModelSpec
    identity: str
    lineage: Lineage
    module: Any = None

    @property
    def schema(self) -> KeypointSchema:
        """The teacher's keypoint set."""
        if self.spec.keypoints is None:
            raise InputError(f"{self.spec.model} gives no keypoints (task {self.spec.task})")
        return KeypointSchema.from_spec(self.spec.keypoints)


@dataclass(frozen=True, slots=True)
class PredictedMaps:
    """Heatmaps float32 (B, K, h, w), and input pixels of the teacher per bin, (x, y).

    sigma: of the Gaussians that the teacher learned, in bins, (x, y); None where it learned none.
    """

    maps: F32
    stride: F64
    sigma: F64 | None


def open_teacher(
    name: str,
    weights: str | None = None,
    *,
    task: str | None = None,
    heads: int | None = None,
    keypoints: KeypointSchema | None = None,
    threads: int | None = None,
) -> Teacher:
    """Open an artifact (a directory, or a name in the cache), a checkpoint, or a catalogue name with `weights`.

    task, heads: as for `load_weights`, of a checkpoint. keypoints: what its keypoints are, where it does not name them.
    Raises InputError for a model that is not top-down pose or gives coordinates, and as `load_weights` and
    `open_session` do.
    """
    path = find(name) if weights is None else Path(name)
    if path and (path / MANIFEST).is_file():
        artifact = Artifact.open(path)
        _check(artifact.manifest)
        manifest = _named(artifact.manifest, keypoints)
        session = open_session(artifact, RunOptions(threads=threads))
        identity = _digest([record.sha256 for record in artifact.manifest.files])
        return Teacher(session, manifest, identity, manifest.lineage)
    loaded = load_weights(name, weights, task=task, heads=heads, keypoints=keypoints)
    _check(loaded.spec)
    identity = loaded.lineage.checkpoint_sha256 or _digest([f"random {loaded.spec.model}"])
    session = TorchSession(loaded.module, loaded.spec, threads)
    return Teacher(session, loaded.spec, identity, loaded.lineage, loaded.module)


def _named(manifest: Manifest, keypoints: KeypointSchema | None) -> Manifest:
    """Return an artifact's manifest with the user's keypoints; raises InputError where it gives another number."""
    if keypoints is None or manifest.keypoints is None:
        return manifest
    if len(keypoints) != len(manifest.keypoints.names):
        raise InputError(
            f"{manifest.model} gives {counted(len(manifest.keypoints.names), 'keypoint')}, but {keypoints.name} names "
            f"{len(keypoints)}; correct --teacher-keypoints"
        )
    return msgspec.structs.replace(manifest, keypoints=keypoints.to_spec())


def predict_maps(teacher: Teacher, images: U8) -> PredictedMaps:
    """Return the teacher's heatmaps of crops, uint8 BGR (B, H, W, 3) of its own input size."""
    outputs = teacher.session.run({teacher.spec.inputs[0].name: images})
    return _as_heatmaps(outputs, teacher.spec)


def simcc_to_heatmaps(logits_x: F32, logits_y: F32) -> F32:
    """Return heatmaps (B, K, ny, nx) of SimCC logits (B, K, nx) and (B, K, ny): the outer product of both axes.

    Trained with softmax(10 logit) = softmax(10 label), logits are labels (Gaussians of height 1) up to a constant,
    which is their median: bins far from the keypoint have label 0.
    """
    across, down = (
        np.clip(each - np.median(each, axis=-1, keepdims=True), 0, None)
        for each in (logits_x, logits_y)
    )
    maps: F32 = down[..., :, None] * across[..., None, :]
    return maps


def _as_heatmaps(outputs: Outputs, spec: ModelSpec) -> PredictedMaps:
    tensors = [np.asarray(outputs[tensor.name], np.float32) for tensor in spec.outputs]
    wh = spec.image.wh
    match spec.codec:
        case HeatmapCodec(sigma=sigma) as codec:
            stride = strides(wh, tensors[0].shape[:1:-1], codec)
            learned = np.array(sigma) if sigma else heatmap_sigma(wh) / stride
            return PredictedMaps(tensors[0], stride, learned)
        case IntegralCodec() as codec:
            positive = normalise(tensors[0], codec)
            return PredictedMaps(positive, strides(wh, positive.shape[:1:-1], HeatmapCodec()), None)
        case SimCCCodec(split_ratio=split) as codec:
            maps = simcc_to_heatmaps(tensors[0], tensors[1])
            return PredictedMaps(maps, np.full(2, 1 / split), simcc_sigma(codec, wh))
        case _:
            raise InputError(_unsuitable(spec))


def _check(spec: ModelSpec) -> None:
    codecs = (HeatmapCodec, SimCCCodec, IntegralCodec)
    top_down = spec.task == "pose-topdown" and spec.crop.kind in {"affine", "square"}
    if not (top_down and isinstance(spec.codec, codecs)):
        raise InputError(_unsuitable(spec))


def _unsuitable(spec: ModelSpec) -> str:
    return (
        f"{spec.model} cannot teach (task {spec.task}, outputs {type(spec.codec).__name__}); a teacher is a top-down "
        "pose model with heatmaps or SimCC"
    )


def _digest(parts: list[str]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(parts))).hexdigest()
