"""Models that skip_frame.py measures pipelines with: results of a frame computed once, and true poses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.model import Model, PoseInputs, load
from edge.nms.overlap import pairwise_iou
from edge.synth import DrawnPerson
from edge.types import F32, U8, Detections, Poses
from export import Target, export_model, load_weights
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec


class Prepared(Model):
    """A detector whose boxes of the present frame were computed before: of every frame once, for all pipelines."""

    found: Detections

    def __init__(self, model: Model) -> None:
        super().__init__(model.spec, model.session, model.name)
        self.found = Detections.empty()

    def with_threshold(self, _score: float) -> "Prepared":
        """Return itself: what was found has passed the threshold."""
        return self

    def detect(self, _image: U8) -> Detections:
        """Return the present frame's boxes."""
        return self.found


class Remembering(Model):
    """A pose model that runs once on each box of a frame, for all pipelines; `forget` before the next frame."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.spec, model.session, model.name)
        self._known: dict[bytes, tuple[F32, F32]] = {}

    def forget(self) -> None:
        """Begin a new frame."""
        self._known.clear()

    def pose_inputs(self, image: Any, boxes: Any = None, box_scores: Any = None) -> PoseInputs:
        """Run on the boxes that are new, and return all of them without their pixels."""
        new = as_boxes([box for box in boxes if box.tobytes() not in self._known])
        if len(new):
            found = super().estimate(super().pose_inputs(image, new))
            for box, xy, scores in zip(new, found.xy, found.scores, strict=True):
                self._known[box.tobytes()] = (xy, scores)
        return PoseInputs(np.zeros((0, 1, 1, 3), np.uint8), [], boxes, box_scores)

    def estimate(self, inputs: PoseInputs, *, flip: bool = False) -> Poses:
        """Return the poses found before."""
        del flip
        if not len(inputs.boxes):
            return Poses.empty(self.schema)
        found = [self._known[box.tobytes()] for box in inputs.boxes]
        xy, scores = (np.stack(each) for each in zip(*found, strict=True))
        ids = np.full(len(xy), -1, np.int32)
        return Poses(xy, scores, inputs.boxes, inputs.scores, ids, self.schema)


class TruePoses(Model):
    """A pose model that sees who is in a box: the true keypoints of the person with the largest IoU, if any."""

    people: tuple[DrawnPerson, ...] = ()

    def pose_inputs(self, _image: Any, boxes: Any = None, box_scores: Any = None) -> PoseInputs:
        """Return the boxes without their pixels."""
        return PoseInputs(np.zeros((0, 1, 1, 3), np.uint8), [], boxes, box_scores)

    def estimate(self, inputs: PoseInputs, *, flip: bool = False) -> Poses:
        """Return the true poses of these boxes; zero scores where no person is in one."""
        del flip
        count = len(inputs.boxes)
        xy, scores = np.zeros((count, 17, 2), np.float32), np.zeros((count, 17), np.float32)
        if count and self.people:
            truth = np.stack([person.box for person in self.people])
            overlaps = pairwise_iou(inputs.boxes, truth)
            for row, best in enumerate(overlaps.argmax(axis=1)):
                if overlaps[row, best] > 0.1:
                    keypoints = self.people[best].keypoints
                    xy[row], scores[row] = keypoints[:, :2], np.where(keypoints[:, 2] > 0, 0.9, 0)
        ids = np.full(count, -1, np.int32)
        return Poses(xy, scores, inputs.boxes, inputs.scores, ids, self.schema)


def as_boxes(boxes: Sequence[F32]) -> F32:
    """Return boxes float32 (N, 4)."""
    return np.array(boxes, np.float32).reshape(-1, 4)


def real_models(models: Path, out: Path) -> tuple[Model, Model]:
    """Return RTMDet-nano's person detector and PP-TinyPose on OpenVINO."""
    weights = models / "rtmdet-nano-person" / "rtmdet_nano_person.pth"
    loaded = load_weights(str(weights), None)
    detector = export_model(loaded, [Target("openvino", "fp32")], out)[0].path
    runtime, files = engine_files([models / "tinypose-256x192" / "model.xml"])
    pose = import_model(files, like_spec("tinypose-256x192", runtime), out).artifact.root
    return load(detector, threads=1), load(pose, threads=1)
