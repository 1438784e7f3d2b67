"""Frames, detections, keypoints of one input, dense maps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.types.arrays import F32, I32, U8, Value, check_number, check_shape, counted
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame(Value):
    """One frame of a source: `image` uint8 (H, W, 3) BGR, `index` from 0, `time_s` since the start of the source.

    Frames that were dropped, or that the decoder reports as damaged, leave gaps in `index`. name: the image file's, or
    the video's with the frame's number ("clip_000016"); empty where there is none.
    Raises InputError for an empty image.
    """

    image: U8
    index: int
    time_s: float
    name: str = ""

    def __post_init__(self) -> None:
        check_shape("Frame.image", self.image, (None, None, 3), np.uint8)
        if not self.image.size:
            raise InputError(f"Frame.image is empty, {self.image.shape}")
        check_number("Frame.index", self.index, (int, np.integer))
        check_number("Frame.time_s", self.time_s, (float, int, np.floating, np.integer))

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        name = f", {self.name!r}" if self.name else ""
        return f"Frame({self.index}, {self.time_s:.3f} s, {width}x{height}{name})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detections(Value):
    """Boxes float32 (N, 4) xyxy, scores float32 (N,), labels int32 (N,), best score first."""

    boxes: F32
    scores: F32
    labels: I32

    def __post_init__(self) -> None:
        count = len(self.boxes)
        check_shape("Detections.boxes", self.boxes, (None, 4), np.float32)
        check_shape("Detections.scores", self.scores, (count,), np.float32)
        check_shape("Detections.labels", self.labels, (count,), np.int32)

    def __repr__(self) -> str:
        best = f", best score {self.scores.max():.2f}" if len(self) else ""
        return f"Detections({counted(len(self), 'box', 'boxes')}{best})"

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> "Detections":
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows])

    @classmethod
    def empty(cls) -> "Detections":
        """Return detections without any box."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Keypoints(Value):
    """Decoded poses of one input: xy float32 (N, K, 2) in input pixels, scores float32 (N, K).

    boxes: of a model that detects people as well, best score first; None for others.
    """

    xy: F32
    scores: F32
    boxes: Detections | None = None

    def __post_init__(self) -> None:
        people, points = self.scores.shape if self.scores.ndim == 2 else (None, None)
        check_shape("Keypoints.xy", self.xy, (people, points, 2), np.float32)
        check_shape("Keypoints.scores", self.scores, (people, points), np.float32)
        if self.boxes is not None:
            check_shape("Keypoints.boxes", self.boxes.boxes, (people, 4), np.float32)

    def __repr__(self) -> str:
        people, points = self.scores.shape
        return f"Keypoints({counted(people, 'person', 'people')}, {points} keypoints)"

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class DenseMap(Value):
    """A map over an image: `values` float32 (C, H, W); `classes` names a segmentation's channels, else is empty."""

    values: F32
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape("DenseMap.values", self.values, (None, None, None), np.float32)

    def __repr__(self) -> str:
        channels, height, width = self.values.shape
        return f"DenseMap({counted(channels, 'channel')}, {width}x{height})"

    def labels(self) -> I32:
        """Return the index of each pixel's best class, int32 (H, W)."""
        best: I32 = self.values.argmax(axis=0).astype(np.int32)
        return best
