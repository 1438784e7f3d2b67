"""Value types: frames, detections, keypoints, dense maps, poses. Shapes and dtypes are checked on construction.

N people, K keypoints; boxes xyxy; x before y; 0-based pixels of the original frame unless stated otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.schema import KeypointSchema

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Floats = NDArray[np.floating]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

# Keypoint scores above it count towards the person's score, as in mmpose.
CONFIDENT = 0.2


def check_shape(name: str, array: NDArray[Any], shape: tuple[int | None, ...], dtype: type) -> None:
    """Raise ValueError unless `array` has this dtype and shape (None: any length)."""
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        wanted = ", ".join("*" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name} must be {np.dtype(dtype)} ({wanted}), got {array.dtype} {array.shape}"
        )


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a source: `image` uint8 (H, W, 3) BGR, `index` from 0, `time_s` since the start of the source.

    Frames that were damaged or dropped leave gaps in `index`. name: the image file's, or the video's with the frame's
    number ("clip_000016"); empty where there is none.
    """

    image: U8
    index: int
    time_s: float
    name: str = ""

    def __post_init__(self) -> None:
        check_shape("Frame.image", self.image, (None, None, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes float32 (N, 4) xyxy, scores float32 (N,), labels int32 (N,), best score first."""

    boxes: F32
    scores: F32
    labels: I32

    def __post_init__(self) -> None:
        count = len(self.boxes)
        check_shape("Detections.boxes", self.boxes, (None, 4), np.float32)
        check_shape("Detections.scores", self.scores, (count,), np.float32)
        check_shape("Detections.labels", self.labels, (count,), np.int32)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: Any) -> "Detections":
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows])

    @classmethod
    def empty(cls) -> "Detections":
        """Return detections without any box."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class Keypoints:
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

    def __len__(self) -> int:
        return len(self.xy)


@dataclass(frozen=True, slots=True)
class DenseMap:
    """A map over an image: `values` float32 (C, H, W); `classes` names a segmentation's channels, else is empty."""

    values: F32
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape("DenseMap.values", self.values, (None, None, None), np.float32)

    def labels(self) -> I32:
        """Return the index of each pixel's best class, int32 (H, W)."""
        best: I32 = self.values.argmax(axis=0).astype(np.int32)
        return best


@dataclass(frozen=True, slots=True)
class Poses:
    """People in a frame.

    xy float32 (N, K, 2), scores float32 (N, K), boxes float32 (N, 4) xyxy, box_scores float32 (N,), ids int32 (N,),
    -1 for none. A keypoint that a bottom-up model did not find has xy 0 and score 0; top-down models place all.
    """

    xy: F32
    scores: F32
    boxes: F32
    box_scores: F32
    ids: I32
    schema: KeypointSchema

    def __post_init__(self) -> None:
        people, points = len(self.xy), len(self.schema.names)
        check_shape("Poses.xy", self.xy, (people, points, 2), np.float32)
        check_shape("Poses.scores", self.scores, (people, points), np.float32)
        check_shape("Poses.boxes", self.boxes, (people, 4), np.float32)
        check_shape("Poses.box_scores", self.box_scores, (people,), np.float32)
        check_shape("Poses.ids", self.ids, (people,), np.int32)

    def __len__(self) -> int:
        return len(self.xy)

    def __iter__(self) -> Iterator[F32]:
        """Unpack as `xy, scores = poses`."""
        return iter((self.xy, self.scores))

    def __getitem__(self, index: Any) -> "Poses":
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Poses(
            self.xy[rows],
            self.scores[rows],
            self.boxes[rows],
            self.box_scores[rows],
            self.ids[rows],
            self.schema,
        )

    @classmethod
    def empty(cls, schema: KeypointSchema) -> "Poses":
        """Return poses of no people."""
        points = len(schema.names)
        return cls(
            np.zeros((0, points, 2), np.float32),
            np.zeros((0, points), np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int32),
            schema,
        )

    def instance_scores(self) -> F32:
        """Return one score a person, float32 (N,): box score times the mean of keypoint scores above 0.2.

        After mmpose's CocoMetric, score_mode "bbox_keypoint".
        """
        good = self.scores > CONFIDENT
        total = np.where(good, self.scores, 0).sum(axis=1)
        mean = total / np.maximum(good.sum(axis=1), 1)
        scores: F32 = (mean * self.box_scores).astype(np.float32)
        return scores

    def to_coco(self, image_id: int | str, category_id: int | str = 1) -> list[dict[str, Any]]:
        """Return COCO keypoint results: keypoints [x, y, score] * K, score, bbox xywh, track_id where there is one."""
        records = []
        triplets = np.concatenate([self.xy, self.scores[..., None]], axis=2)
        for row, score, box, track_id in zip(
            triplets, self.instance_scores(), self.boxes, self.ids, strict=True
        ):
            x0, y0, x1, y1 = (float(value) for value in box)
            record: dict[str, Any] = {
                "image_id": image_id,
                "category_id": category_id,
                "keypoints": [round(float(value), 3) for value in row.reshape(-1)],
                "score": round(float(score), 5),
                "bbox": [round(x0, 2), round(y0, 2), round(x1 - x0, 2), round(y1 - y0, 2)],
            }
            if track_id >= 0:
                record["track_id"] = int(track_id)
            records.append(record)
        return records
