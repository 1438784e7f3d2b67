"""Poses of all people in a frame, and of one person by keypoint name."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple, overload

import numpy as np

from edge.schema import KeypointSchema
from edge.types.arrays import F32, I32, U8, Value, check_shape, counted
from runtimes.errors import MissingDependencyError

# Keypoint scores above it count towards the person's score, as in mmpose.
CONFIDENT = 0.2


class Point(NamedTuple):
    """One keypoint: x and y in pixels of the frame, and its score."""

    x: float
    y: float
    score: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Person(Value):
    """One person of `Poses.people()`: `person["left_wrist"]` is a Point, and `xy, scores = person` unpacks.

    xy float32 (K, 2), scores float32 (K,), box float32 (4,) xyxy, box_score, score (of the whole person, as
    `Poses.instance_scores`), id (-1 for none).
    """

    xy: F32
    scores: F32
    box: F32
    box_score: float
    score: float
    id: int
    schema: KeypointSchema

    def __iter__(self) -> Iterator[F32]:
        """Unpack as `xy, scores = person`."""
        return iter((self.xy, self.scores))

    def __getitem__(self, name: str) -> Point:
        """Return the keypoint of this name; raises InputError for one that the schema lacks."""
        number = self.schema.index(name)
        x, y = self.xy[number].tolist()
        return Point(x, y, float(self.scores[number]))

    def keypoints(self) -> dict[str, Point]:
        """Return all keypoints by name."""
        return {name: self[name] for name in self.schema.names}

    def __repr__(self) -> str:
        box = ", ".join(f"{value:.0f}" for value in self.box.tolist())
        number = f"id {self.id}, " if self.id >= 0 else ""
        return f"Person({number}score {self.score:.2f}, box [{box}], {self.schema.name})"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Poses(Value):
    """People in a frame: `xy, scores = poses`, `poses.people()`, `poses["left_wrist"]`, `poses[0]`, `len(poses)`.

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

    def __repr__(self) -> str:
        people = counted(len(self), "person", "people")
        return f"Poses({people}, {self.schema.name} with {len(self.schema.names)} keypoints)"

    def __len__(self) -> int:
        return len(self.xy)

    def __iter__(self) -> Iterator[F32]:
        """Unpack as `xy, scores = poses`."""
        return iter((self.xy, self.scores))

    @overload
    def __getitem__(self, index: str) -> F32: ...

    @overload
    def __getitem__(self, index: Any) -> "Poses": ...

    def __getitem__(self, index: Any) -> "F32 | Poses":
        """Return people by number, slice or mask, or the keypoint of this name of everyone.

        A keypoint is float32 (N, 3) as x, y, score; raises InputError for a name that the schema lacks.
        """
        if isinstance(index, str):
            number = self.schema.index(index)
            return np.concatenate([self.xy[:, number], self.scores[:, number, None]], axis=1)
        rows = np.atleast_1d(np.arange(len(self))[index])
        return Poses(
            self.xy[rows],
            self.scores[rows],
            self.boxes[rows],
            self.box_scores[rows],
            self.ids[rows],
            self.schema,
        )

    def people(self) -> "list[Person]":
        """Return one Person each, whose keypoints have names."""
        rows = zip(
            self.xy,
            self.scores,
            self.boxes,
            self.box_scores.tolist(),
            self.instance_scores().tolist(),
            self.ids.tolist(),
            itertools.repeat(self.schema),
            strict=False,
        )
        return [Person(*row) for row in rows]

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
        triplets = np.concatenate([self.xy, self.scores[..., None]], axis=2)
        sizes = self.boxes[:, 2:] - self.boxes[:, :2]
        records: list[dict[str, Any]] = [
            {
                "image_id": _plain(image_id),
                "category_id": _plain(category_id),
                "keypoints": [round(value, 3) for value in row.ravel().tolist()],
                "score": round(float(score), 5),
                "bbox": [round(value, 2) for value in (*box[:2].tolist(), *size.tolist())],
            }
            for row, score, box, size in zip(
                triplets, self.instance_scores(), self.boxes, sizes, strict=True
            )
        ]
        for record, track_id in zip(records, self.ids.tolist(), strict=True):
            if track_id >= 0:
                record["track_id"] = track_id
        return records

    def to_openpose(self) -> dict[str, Any]:
        """Return one frame of OpenPose's JSON (format 1.3): body in BODY_25 order, hands and face where there are any.

        Raises InputError for keypoints without shoulders and hips.
        """
        from edge.media.openpose_json import openpose_people  # noqa: PLC0415 a method for convenience, a layer above

        return {"version": 1.3, "people": openpose_people(self)}

    def to_supervision(self) -> Any:
        """Return `supervision.KeyPoints` of these people; raises MissingDependencyError where it is not installed."""
        try:
            import supervision  # noqa: PLC0415 not a dependency
        except ImportError as error:
            raise MissingDependencyError("supervision", "") from error
        # 0.29 renamed confidence, and added the scores of boxes
        renamed = "keypoint_confidence" in signature(supervision.KeyPoints).parameters
        scores = (
            {"keypoint_confidence": self.scores, "detection_confidence": self.box_scores}
            if renamed
            else {"confidence": self.scores}
        )
        classes = np.zeros(len(self), int)
        return supervision.KeyPoints(xy=self.xy, class_id=classes, **scores)

    def plot(self, image: Any, keypoint_threshold: float = 0.3) -> U8:
        """Return a copy of the image, uint8 (H, W, 3) BGR, with the skeletons; see `edge.draw_poses`.

        image: uint8 BGR (H, W, 3), grey (H, W), the path of a file, or a PIL image. Raises as the models do.
        """
        from edge.media.draw import draw_poses  # noqa: PLC0415 a method for convenience, a layer above

        return draw_poses(image, self, keypoint_threshold)


def _plain(number: int | str) -> int | str:
    """Return an id as JSON has it: NumPy's integers are none of Python's."""
    return number if isinstance(number, str) else int(number)
