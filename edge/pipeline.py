"""Frames to poses, top-down or bottom-up.

Top-down: detect on every `skip`-th frame, take boxes from the last poses in between, one batch of crops a frame.
Bottom-up: one network run a frame, however many people are in it.

Names and defaults follow mmdeploy's pose tracker. The only state between frames is the last poses.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge.codecs.people import (
    people,  # noqa: F401 the detector's side of a pipeline, for loops of one's own
    person_labels,
    with_labels,
)
from edge.geometry import keypoint_boxes, reaching, solid_boxes, whole_frame
from edge.image import as_image
from edge.media.frames import Frames, frames_of
from edge.model import ImageLike, Model, load
from edge.nms.overlap import oks_matrix, oks_nms, soft_oks_nms
from edge.nms.parametric import constants_of, merge_people
from edge.nms.parametric_paper import keep_confident
from edge.types import F32, U8, Detections, Frame, Poses, counted
from edge.types.options import check_count, check_scale, check_threshold
from runtimes.codec_spec import Codec
from runtimes.errors import InputError

PoseNMS = Literal["oks", "soft-oks", "parametric", "parametric-paper", "none"]
# Where poses are merged, weak and duplicate boxes improve the result; elsewhere they would add false positives.
DET_THRS: dict[PoseNMS, float] = {
    "oks": 0.3,
    "soft-oks": 0.3,
    "parametric": 0.1,
    "parametric-paper": 0.1,
    "none": 0.3,
}


@dataclass(frozen=True, slots=True)
class Follow:
    """Boxes from the last poses, between detections.

    kpt_thr: keypoints below it do not count; min_keypoints: a person with fewer confident ones is lost (of sets of
    fewer keypoints, all are wanted);
    bbox_scale: padding of the box around them; nms_thr: OKS above which two poses are one person.
    Raises InputError for a threshold outside [0, 1], a count below 1 and a scale that is not above 0.
    """

    kpt_thr: float = 0.3
    min_keypoints: int = 3
    bbox_scale: float = 1.25
    nms_thr: float = 0.7

    def __post_init__(self) -> None:
        check_threshold("kpt_thr", self.kpt_thr)
        check_threshold("nms_thr", self.nms_thr)
        check_count("min_keypoints", self.min_keypoints)
        check_scale("bbox_scale", self.bbox_scale)


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of one frame; `detect_ms` is 0 where the detector did not run."""

    detect_ms: float
    pose_ms: float
    post_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of all stages."""
        return self.detect_ms + self.pose_ms + self.post_ms


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One frame and its poses; `detected` says whether the detector ran on it."""

    frame: Frame
    poses: Poses
    detected: bool
    timings: Timings

    def __repr__(self) -> str:
        count = counted(len(self.poses), "person", "people")
        ran = ", detector ran" if self.detected else ""
        return f"Result(frame {self.frame.index}, {count}{ran}, {self.timings.total_ms:.1f} ms)"


class Pipeline:
    """Frames in, poses out. One caller thread at a time; a context manager that closes its models.

    pose: a Model, an artifact directory or a name in the cache. detector: the same, or None for the whole frame as the
    one box (single person); bottom-up pose models take none. skip: detect on frames 0, skip, 2 * skip, ...; det_thr:
    box score threshold, None for 0.3, or 0.1 with parametric pose NMS; max_people: the best scoring boxes kept, None
    for all. det_classes: the detector's classes that are people, by default the one called person, or its only one.

    pose_nms, where one person has several poses: "oks" keeps the best; "soft-oks" ranks poses by scores lowered for
    resembling a better one, and keeps 20; "parametric" merges them (AlphaPose's code),
    "parametric-paper" keeps the most confident by its paper's equations; "none" keeps all. The first two
    leave keypoint sets without sigmas unchanged.
    """

    def __init__(
        self,
        pose: Model | str | Path,
        detector: Model | str | Path | None = None,
        *,
        skip: int = 1,
        det_thr: float | None = None,
        max_people: int | None = None,
        follow: Follow | None = None,
        pose_nms: PoseNMS = "oks",
        det_classes: Sequence[str] = (),
    ) -> None:
        if pose_nms not in _POSE_NMS:
            raise InputError(f"unknown pose_nms {pose_nms!r}; known: {', '.join(_POSE_NMS)}")
        check_count("skip", skip)
        if max_people is not None:
            check_count("max_people", max_people)
        if det_thr is not None:
            check_threshold("det_thr", det_thr)
        self.pose = pose if isinstance(pose, Model) else load(pose)
        found = detector if detector is None or isinstance(detector, Model) else load(detector)
        threshold = DET_THRS[pose_nms] if det_thr is None else det_thr
        self.detector = found.with_threshold(threshold) if found else None
        if not self.pose.spec.gives_keypoints:
            raise InputError(_no_poses(self.pose))
        self._bottom_up = self.pose.spec.is_bottom_up
        if self._bottom_up and self.detector is not None:
            raise InputError(
                f"{self.pose.name} is bottom-up and finds all people in the frame; leave out the detector"
            )
        if self.detector is not None and not self.detector.spec.is_detector:
            raise InputError(
                f"{self.detector.name}: task {self.detector.spec.task}; a pipeline's detector finds boxes"
            )
        self._person_labels = (
            person_labels(self.detector.spec, det_classes) if self.detector else None
        )
        self._skip = skip
        self._max_people = max_people
        self._follow = follow or Follow()
        self._pose_nms = _POSE_NMS[pose_nms]
        self.reset()

    def reset(self) -> None:
        """Forget the last poses; the detector runs on the next frame."""
        self._count = 0
        self._last = Poses.empty(self.pose.schema)

    def __repr__(self) -> str:
        detector = self.detector.name if self.detector else None
        return f"Pipeline(pose={self.pose.name}, detector={detector}, skip={self._skip})"

    def __call__(self, image: ImageLike) -> Poses:
        """Return the poses in the next frame: uint8 BGR (H, W, 3), grey (H, W), a path, or a PIL image."""
        return self.step(Frame(as_image(image), self._count, 0.0)).poses

    def stream(self, frames: Frames) -> Iterator[Result]:
        """Yield one Result a frame, in order.

        frames: a video, image, folder, glob, URL or "synth"; a camera (0, "/dev/video0"); or a sequence of frames,
        image paths, PIL images or arrays uint8 BGR (H, W, 3). What is named here is opened and closed here, and is a
        new scene; open it with `edge.open_source` to read how many frames were lost. Raises SourceError where it gives
        no frame.
        """
        if isinstance(frames, (str, Path, int)):
            self.reset()
        for frame in frames_of(frames):
            yield self.step(frame)

    def step(self, frame: Frame) -> Result:
        """Run on the next frame."""
        start = time.perf_counter()
        detected = self.detector is not None and self._count % self._skip == 0
        boxes = None if self._bottom_up else self._boxes(frame.image, detected=detected)
        between = time.perf_counter()
        poses = self._estimate(frame.image, boxes)
        after = time.perf_counter()
        self._last = self.deduplicate(poses)
        self._count += 1
        end = time.perf_counter()
        timings = Timings(
            detect_ms=(between - start) * 1e3,
            pose_ms=(after - between) * 1e3,
            post_ms=(end - after) * 1e3,
        )
        return Result(frame, self._last, detected, timings)

    def _estimate(self, image: U8, boxes: Detections | None) -> Poses:
        """Return the poses in the boxes; None: all people that a bottom-up model finds."""
        if boxes is not None:
            return self.pose.poses(image, boxes.boxes, boxes.scores)
        poses = self.pose.poses(image)
        best = np.argsort(-poses.instance_scores(), kind="stable")
        return poses[np.sort(best[: self._max_people])]

    def _boxes(self, image: U8, *, detected: bool) -> Detections:
        if self.detector is None:
            height, width = image.shape[:2]
            return Detections(
                whole_frame((width, height)), np.ones(1, np.float32), np.zeros(1, np.int32)
            )
        if not detected:
            return _usable(follow_boxes(self._last, self._follow), image)
        found = _usable(with_labels(self.detector.detect(image), self._person_labels), image)
        return found if self._max_people is None else found[: self._max_people]

    def deduplicate(self, poses: Poses) -> Poses:
        """Return one pose a person, by `pose_nms`; people keep their order."""
        if self._bottom_up:  # each keypoint is of one person only: no duplicates
            return poses
        return self._pose_nms(poses, self._follow, self.pose.spec.codec)

    def close(self) -> None:
        """Close both models."""
        self.pose.close()
        if self.detector is not None:
            self.detector.close()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _usable(found: Detections, image: U8) -> Detections:
    """Return the boxes that have an area and reach into the frame.

    Detectors, keypoints that all lie at one place, and people who left the frame give others.
    """
    height, width = image.shape[:2]
    return found[solid_boxes(found.boxes) & reaching(found.boxes, (width, height))]


def _no_poses(model: Model) -> str:
    """Return why the model cannot be a pipeline's pose model, and what to do instead."""
    task = model.spec.task
    if model.spec.is_dense:
        return f"{model.name}: gives a map (task {task}), no poses; call edge.load(ARTIFACT)(frame)"
    return f"{model.name}: task {task}; a pipeline needs a pose model, top-down or bottom-up"


def _oks_nms(poses: Poses, follow: Follow, _codec: Codec) -> Poses:
    if len(poses) < 2 or not poses.schema.sigmas:
        return poses
    kept = oks_nms(_similarities(poses, follow), poses.instance_scores(), follow.nms_thr)
    return poses[np.sort(kept)]


def _soft_oks_nms(poses: Poses, follow: Follow, _codec: Codec) -> Poses:
    if len(poses) < 2 or not poses.schema.sigmas:
        return poses
    kept = soft_oks_nms(_similarities(poses, follow), poses.instance_scores(), follow.nms_thr)
    return poses[np.sort(kept)]


def _parametric_nms(poses: Poses, _follow: Follow, codec: Codec) -> Poses:
    return merge_people(poses, constants_of(codec, len(poses.schema)))


def _parametric_paper(poses: Poses, _follow: Follow, _codec: Codec) -> Poses:
    return keep_confident(poses)


def _keep_all(poses: Poses, _follow: Follow, _codec: Codec) -> Poses:
    return poses


_POSE_NMS: dict[PoseNMS, Callable[[Poses, Follow, Codec], Poses]] = {
    "oks": _oks_nms,
    "soft-oks": _soft_oks_nms,
    "parametric": _parametric_nms,
    "parametric-paper": _parametric_paper,
    "none": _keep_all,
}


def _similarities(poses: Poses, follow: Follow) -> F32:
    """Return the OKS of every two poses, (N, N), over keypoints that are confident in both."""
    sizes = poses.boxes[:, 2:] - poses.boxes[:, :2]
    visible = poses.scores >= follow.kpt_thr
    sigmas = np.asarray(poses.schema.sigmas, np.float32)
    return oks_matrix(poses.xy, visible, sizes.prod(axis=1), sigmas)


def follow_boxes(poses: Poses, follow: Follow) -> Detections:
    """Return the boxes for the next frame: around each person's confident keypoints, padded.

    Other keypoints may lie anywhere, so they do not stretch the box. Without people there are no boxes.
    """
    confident = poses.scores >= follow.kpt_thr
    alive = confident.sum(axis=1) >= min(follow.min_keypoints, confident.shape[1])
    poses, confident = poses[alive], confident[alive]
    if not len(poses):
        return Detections.empty()
    around = keypoint_boxes(poses.xy, confident)
    low, high = around[:, :2], around[:, 2:]
    centre, half = (low + high) / 2, (high - low) / 2 * follow.bbox_scale
    boxes: F32 = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return Detections(boxes, poses.box_scores, np.zeros(len(poses), np.int32))
