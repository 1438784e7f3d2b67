"""The scene of benchmarks/soak.py: a bright square that walks through, and a pipeline whose engines are functions."""

from collections.abc import Callable

import cv2
import numpy as np

from edge.model import Model
from edge.pipeline import Pipeline
from edge.schema import load_schema
from runtimes.base import Effective, Feeds, Outputs
from runtimes.codec_spec import BoxesCodec, YxsCodec
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, TensorSpec

SIDE, CLIP_FRAMES = 96, 120
ANGLES = np.linspace(0, 2 * np.pi, 17, endpoint=False)


class Engine:
    """A session whose outputs are a function of its input."""

    effective = Effective(1, "f32", "cpu", "a function")

    def __init__(self, answer: Callable[[np.ndarray], Outputs]) -> None:
        self._answer = answer

    def run(self, feeds: Feeds) -> Outputs:
        """Return the outputs."""
        return self._answer(feeds["image"])

    def close(self) -> None:
        """Do nothing."""


def find(images: np.ndarray) -> Outputs:
    """Return the box around the bright pixels."""
    x, y, width, height = cv2.boundingRect((images[0, ..., 0] > 128).astype(np.uint8))
    boxes = [[x, y, x + width, y + height, 0.9]] if width else []
    dets = np.array(boxes, np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.zeros((1, len(boxes)), np.int64)}


def look(images: np.ndarray) -> Outputs:
    """Return keypoints on a ring about the middle of each crop, sure where it is bright."""
    scores = (images.max(axis=(1, 2, 3)) / 255).astype(np.float32)
    ring = np.stack([0.5 + 0.3 * np.sin(ANGLES), 0.5 + 0.3 * np.cos(ANGLES)], axis=1)
    poses = np.empty((len(images), 1, 17, 3), np.float32)
    poses[..., :2], poses[..., 2] = ring, scores[:, None, None]
    return {"yxs": poses}


def make_pipeline() -> Pipeline:
    """Return a pipeline with everything that keeps state: detection on evidence, ids, smoothing."""
    image = (TensorSpec(name="image"),)
    pose = ModelSpec(
        model="pose",
        task="pose-topdown",
        inputs=image,
        outputs=(TensorSpec(name="yxs"),),
        image=ImageSpec(wh=(32, 32)),
        crop=CropSpec(kind="square"),
        codec=YxsCodec(),
        keypoints=load_schema("coco17").to_spec(),
    )
    detector = ModelSpec(
        model="detector",
        task="detect",
        inputs=image,
        outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")),
        image=ImageSpec(wh=(SIDE, SIDE)),
        crop=CropSpec(kind="letterbox"),
        codec=BoxesCodec(),
    )
    models = Model(pose, Engine(look)), Model(detector, Engine(find))
    return Pipeline(*models, skip="auto", track=True, smooth="one-euro")


def draw(index: int) -> np.ndarray:
    """Return a frame with a bright square that walks through; it is away for a quarter of the clip."""
    image = np.full((SIDE, SIDE, 3), 16, np.uint8)
    right = index % CLIP_FRAMES * 3 // 2
    image[30:60, max(right - 30, 0) : right] = 230
    return image
