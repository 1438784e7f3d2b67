"""A model on an engine: a frame and boxes in, poses, detections or a map in frame pixels out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from devices.tuned import tuned_options
from edge.codecs import decode_boxes, decode_map, decode_poses
from edge.codecs.dense import fit_frame
from edge.codecs.flip import decode_flipped
from edge.geometry import Crop, check_boxes, keypoint_boxes, make_crops, whole_frame
from edge.image import as_image, crop_batch
from edge.schema import KeypointSchema
from edge.types import F32, U8, DenseMap, Detections, Keypoints, Poses, check_shape, counted
from runtimes.artifact import Artifact
from runtimes.base import Accelerator, ArithmeticChoice, Outputs, RunOptions, Session
from runtimes.cache.names import locate
from runtimes.errors import InputError
from runtimes.registry import open_session
from runtimes.spec import Manifest, ModelSpec

ImageLike: TypeAlias = Any
"""An image: uint8 BGR (H, W, 3), grey (H, W), the path of a file, or a PIL image."""
BoxesLike: TypeAlias = ArrayLike
"""Boxes (N, 4) xyxy: an array or nested sequences."""

# Crops an engine call: bounds memory, and the number of batch sizes that OpenVINO compiles.
MAX_BATCH = 8


@dataclass(frozen=True, slots=True, eq=False)
class PoseInputs:
    """One frame as a pose model takes it: `images` uint8 (N, H, W, 3), each the crop beside it in `crops`.

    boxes float32 (N, 4) xyxy in frame pixels and scores float32 (N,): those that the crops are of.
    """

    images: U8
    crops: list[Crop]
    boxes: F32
    scores: F32


def load(
    artifact: str | Path,
    *,
    threads: int | None = None,
    precision: ArithmeticChoice = "f32",
    accelerator: Accelerator = "cpu",
    extra: Mapping[str, int | float | str] | None = None,
    requests: int | None = None,
    tuned: bool = False,
) -> "Model":
    """Open an artifact for running: a directory, or a name in the cache as `edgepose models --local` lists them.

    threads: None means min(4, cores this process may use); ncnn takes fewer where that is faster.
    precision: of the arithmetic: f32, f16, bf16, or "auto", which takes f16 where this machine computes it and the
    artifact then verifies (its reference is run once, as `edgepose verify --precision f16` does), and f32 elsewhere.
    `session.effective` has the one in use. extra: see `RunOptions`.
    requests: people of a frame that run at the same time, 1 for all as one batch; see `RunOptions`.
    tuned: take threads, precision, accelerator and requests from what `edgepose tune` chose for this artifact here.
    Raises ArtifactError, MissingDependencyError (with the install command), EngineError, and InputError for what
    is no path, where nothing is tuned here, or where `tuned` comes with options of its own.
    """
    opened = Artifact.open(locate(artifact))
    options = RunOptions(
        threads=threads,
        precision="f32" if precision == "auto" else precision,
        accelerator=accelerator,
        extra=extra or {},
        requests=requests,
    )
    if tuned:
        options = tuned_options(opened, options, precision)
    elif precision == "auto":
        options = _auto_options(opened, options)
    return Model(opened.manifest, open_session(opened, options), opened.name)


def _auto_options(artifact: Artifact, options: RunOptions) -> RunOptions:
    from edge.parity.auto import chosen_options  # noqa: PLC0415 - above this module, and seldom needed

    return chosen_options(artifact, options, "auto")


class Model:
    """A spec and a session; several threads may call it. A context manager; otherwise `close` it."""

    def __init__(self, spec: ModelSpec, session: Session, name: str = "") -> None:
        self.spec = spec
        self.session = session
        self.name = name or spec.model
        self._input = spec.inputs[0].name
        self._schema = KeypointSchema.from_spec(spec.keypoints) if spec.keypoints else None

    @property
    def schema(self) -> KeypointSchema:
        """The keypoint set; raises InputError for a model without keypoints."""
        if self._schema is None:
            raise InputError(f"{self.name} gives no keypoints (task {self.spec.task})")
        return self._schema

    def __call__(
        self, image: ImageLike, boxes: BoxesLike | None = None
    ) -> Poses | Detections | DenseMap:
        """Run on one frame: uint8 BGR (H, W, 3), grey (H, W), an image file's path, or a PIL image.

        boxes: (N, 4) xyxy for top-down pose models; None means the whole frame, N = 0 gives no poses. Bottom-up
        models, detectors and dense models take none. Results are in frame pixels. Raises InputError for an image or a
        box that cannot be used (None, no pixels, NaN, no area, wholly outside the frame), and SourceError for a file
        that cannot be read.
        """
        if not self.spec.is_detector and not self.spec.is_dense:
            return self.poses(image, boxes)
        if boxes is not None:
            raise InputError(f"{self.name} takes a frame and no boxes (task {self.spec.task})")
        return self.detect(image) if self.spec.is_detector else self.dense(image)

    def __repr__(self) -> str:
        width, height = self.spec.image.wh
        runtime = f"{self.spec.runtime}, " if isinstance(self.spec, Manifest) else ""
        in_use = self.session.effective
        return (
            f"Model({self.name}, {self.spec.task}, {width}x{height}, "
            f"{runtime}{in_use.precision} on {in_use.accelerator}, {counted(in_use.threads, 'thread')})"
        )

    def detect(self, image: ImageLike) -> Detections:
        """Return the boxes, best score first; as in mmdet, they are not clipped to the frame."""
        if not self.spec.is_detector:
            raise InputError(f"{self.name} is no detector (task {self.spec.task})")
        image = as_image(image)
        crops = self.crops(image, _frame_box(image))
        outputs = self._run(crop_batch(image, crops, self.spec.crop))
        (found,) = decode_boxes(outputs, self.spec)
        boxes = crops[0].to_frame(found.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        return Detections(boxes, found.scores, found.labels)

    def dense(self, image: ImageLike) -> DenseMap:
        """Return a map over the frame: float32 (C, H, W) class logits, depth or normals."""
        if not self.spec.is_dense:
            raise InputError(f"{self.name} gives no map (task {self.spec.task})")
        image = as_image(image)
        crops = self.crops(image, _frame_box(image))
        outputs = self._run(crop_batch(image, crops, self.spec.crop))
        (found,) = decode_map(outputs, self.spec)
        height, width = image.shape[:2]
        return fit_frame(found, self.spec, (width, height))

    def poses(
        self,
        image: ImageLike,
        boxes: BoxesLike | None = None,
        box_scores: ArrayLike | None = None,
        *,
        flip: bool = False,
    ) -> Poses:
        """Return one pose a box; `flip` averages with the mirrored input (flip test).

        boxes, box_scores: (N, 4) xyxy and (N,); None means the whole frame, and scores of 1. A bottom-up model
        returns all people in the frame from one run, and takes neither boxes nor a flip test. Image and errors are
        those of a call of the model.
        """
        return self.estimate(self.pose_inputs(image, boxes, box_scores), flip=flip)

    def pose_inputs(
        self,
        image: ImageLike,
        boxes: BoxesLike | None = None,
        box_scores: ArrayLike | None = None,
    ) -> PoseInputs:
        """Return the crops that `estimate` takes, the first half of `poses`: it needs no engine."""
        _ = self.schema  # raises for a model without keypoints
        image = as_image(image)
        if self.spec.is_bottom_up and boxes is not None:
            raise InputError(self._finds_all())
        wanted = _frame_box(image) if boxes is None else check_boxes(boxes, image.shape[1::-1])
        sure = np.ones(len(wanted), np.float32)
        if box_scores is not None:
            sure = np.asarray(box_scores, np.float32)
        check_shape("box_scores", sure, (len(wanted),), np.float32)
        if not len(wanted):
            width, height = self.spec.image.wh
            return PoseInputs(np.empty((0, height, width, 3), np.uint8), [], wanted, sure)
        crops = self.crops(image, wanted)
        return PoseInputs(crop_batch(image, crops, self.spec.crop), crops, wanted, sure)

    def estimate(self, inputs: PoseInputs, *, flip: bool = False) -> Poses:
        """Run the engine and decode, the second half of `poses`; inputs: from `pose_inputs` of this model."""
        schema = self.schema
        if self.spec.is_bottom_up:
            if flip:
                raise InputError(self._finds_all())
            (found,) = self.decode_crops(inputs.images)
            return people_in_frame(found, inputs.crops[0], schema)
        if not len(inputs.boxes):
            return Poses.empty(schema)
        items = self.decode_crops(inputs.images, flip=flip)
        xy = np.concatenate(
            [crop.to_frame(item.xy) for crop, item in zip(inputs.crops, items, strict=True)]
        )
        scores = np.concatenate([item.scores for item in items])
        ids = np.full(len(items), -1, np.int32)
        return Poses(xy, scores, inputs.boxes, inputs.scores, ids, schema)

    def crops(self, image: U8, boxes: F32) -> list[Crop]:
        """Return the crop of each box; boxes float32 (N, 4) xyxy."""
        check_shape("image", image, (None, None, 3), np.uint8)
        height, width = image.shape[:2]
        return make_crops(boxes, (width, height), self.spec.crop, self.spec.image.wh)

    def decode_crops(self, images: U8, *, flip: bool = False) -> list[Keypoints]:
        """Run input images uint8 (B, H, W, 3) and return one Keypoints each, in input pixels."""
        items: list[Keypoints] = []
        for start in range(0, len(images), MAX_BATCH):
            part = images[start : start + MAX_BATCH]
            outputs = self._run(part)
            if flip:
                mirrored = self._run(np.ascontiguousarray(part[:, :, ::-1]))
                items += decode_flipped(outputs, mirrored, self.spec)
                continue
            items += decode_poses(outputs, self.spec)
        return items

    def features(self, images: U8) -> list[DenseMap]:
        """Run input images uint8 (B, H, W, 3) of an embedding model and return one map each: float32 (D, h, w).

        Of a network that ends in a vector, h = w = 1. Raises InputError for a model of another task.
        """
        if not self.spec.is_embedding:
            raise InputError(f"{self.name} gives no embeddings (task {self.spec.task})")
        items: list[DenseMap] = []
        for start in range(0, len(images), MAX_BATCH):
            items += decode_map(self._run(images[start : start + MAX_BATCH]), self.spec)
        return items

    def with_threshold(self, score: float) -> "Model":
        """Return this model on the same session with another box score threshold."""
        thresholds = msgspec.structs.replace(self.spec.thresholds, score=score)
        return Model(
            msgspec.structs.replace(self.spec, thresholds=thresholds), self.session, self.name
        )

    def _finds_all(self) -> str:
        return f"{self.name} is bottom-up and finds all people in the frame; leave out boxes and the flip test"

    def _run(self, images: U8) -> Outputs:
        return self.session.run({self._input: images})

    def close(self) -> None:
        """Free the engine."""
        self.session.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def people_in_frame(found: Keypoints, crop: Crop, schema: KeypointSchema) -> Poses:
    """Return a bottom-up model's people in frame pixels, without those that have no keypoint.

    A keypoint that was not found keeps xy 0 and score 0. Where the model gives no boxes, the box is around those found,
    and its score is their share of all keypoints, so that a whole person ranks before a fragment.
    """
    if found.boxes is not None:
        boxes = crop.to_frame(found.boxes.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
        ids = np.full(len(boxes), -1, np.int32)
        return Poses(crop.to_frame(found.xy), found.scores, boxes, found.boxes.scores, ids, schema)
    there = (found.scores > 0).any(axis=1)
    scores = found.scores[there]
    seen = scores > 0
    xy: F32 = np.where(seen[..., None], crop.to_frame(found.xy[there]), np.float32(0))
    return Poses(
        xy,
        scores,
        keypoint_boxes(xy, seen).astype(np.float32),
        seen.mean(axis=1).astype(np.float32),
        np.full(len(xy), -1, np.int32),
        schema,
    )


def _frame_box(image: U8) -> F32:
    height, width = image.shape[:2]
    return whole_frame((width, height))
