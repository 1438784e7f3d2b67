"""Options of a source's state between frames; tracking options are named as in mmdeploy's pose tracker."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from edge.types.options import check_count, check_scale, check_threshold
from runtimes.errors import InputError

Skip = int | Literal["auto"]
Smooth = Literal["none", "one-euro"]


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """Tracking between detections: names of mmdeploy's pose tracker, `docs/tracking.md` has where defaults differ.

    det_interval: most frames from one detection to the next with skip "auto" (skip itself is mmdeploy's
    det_interval); empty_det_interval: the same while no one is there, where it is longer.
    det_min_bbox_size: side in pixels of the square that a detected box must reach in area, -1 for any; det_nms_thr: IoU
    above which a tracked box is dropped beside a better one.
    pose_max_num_bboxes: most boxes a frame, -1 for all; pose_kpt_thr: keypoints below it do not count;
    pose_min_keypoints: a person with fewer confident ones is lost, -1 for half of them (of sets of fewer keypoints, all
    are wanted); pose_bbox_scale: padding of the box around them; pose_min_bbox_size: as det_min_bbox_size, of that box;
    pose_nms_thr: OKS above which two poses are one person.
    new_track_thr: box score from which a detected person starts a track (ByteTrack's high threshold; ultralytics'
    new_track_thresh); a person below it is nobody with `track`.
    track_iou_thr: IoU from which a box is that of a track; track_max_missing: frames, at the source's nominal rate,
    that a lost person is kept; track_history_size: frames of a track's history that are compared.
    std_weight_position, std_weight_velocity: of the box filter, as shares of the box's height; smooth_params: beta,
    minimum cut-off and cut-off of the derivative of the One-Euro filter.
    Raises InputError for a threshold outside [0, 1], a count below 1 (where -1 has no meaning) and a scale that is
    not above 0.
    """

    det_interval: int = 5
    empty_det_interval: int = 10
    det_min_bbox_size: float = -1
    det_nms_thr: float = 0.7
    pose_max_num_bboxes: int = -1
    pose_kpt_thr: float = 0.3
    pose_min_keypoints: int = 3
    pose_bbox_scale: float = 1.15
    pose_min_bbox_size: float = -1
    pose_nms_thr: float = 0.7
    new_track_thr: float = 0.4
    track_iou_thr: float = 0.4
    track_max_missing: int = 10
    track_history_size: int = 1
    std_weight_position: float = 1 / 20
    std_weight_velocity: float = 1 / 160
    smooth_params: tuple[float, float, float] = (0.05, 1.0, 1.0)

    def __post_init__(self) -> None:
        for name in (
            "det_nms_thr",
            "pose_kpt_thr",
            "pose_nms_thr",
            "new_track_thr",
            "track_iou_thr",
        ):
            check_threshold(name, getattr(self, name))
        for name in (
            "det_interval",
            "empty_det_interval",
            "track_max_missing",
            "track_history_size",
        ):
            check_count(name, getattr(self, name))
        for name in ("pose_max_num_bboxes", "pose_min_keypoints"):
            if not _is_none(getattr(self, name)):
                check_count(name, getattr(self, name))
        for name in ("det_min_bbox_size", "pose_min_bbox_size"):
            if not _is_none(getattr(self, name)):
                _check_size(name, getattr(self, name))
        for name in ("pose_bbox_scale", "std_weight_position", "std_weight_velocity"):
            check_scale(name, getattr(self, name))
        if not isinstance(self.smooth_params, tuple) or len(self.smooth_params) != 3:
            raise InputError(
                f"smooth_params must be (beta, min_cutoff, d_cutoff), not {self.smooth_params!r}"
            )
        _check_size("smooth_params[0]", self.smooth_params[0])
        for index in (1, 2):
            check_scale(f"smooth_params[{index}]", self.smooth_params[index])

    def wanted_keypoints(self, points: int) -> int:
        """Return how many confident keypoints of `points` make a person."""
        half = (points + 1) // 2
        return half if self.pose_min_keypoints == -1 else min(self.pose_min_keypoints, points)

    def limited(self, max_people: int | None) -> "TrackOptions":
        """Return the options with at most so many boxes a frame; None for no further limit."""
        own = None if self.pose_max_num_bboxes == -1 else self.pose_max_num_bboxes
        limits = [each for each in (own, max_people) if each is not None]
        return replace(self, pose_max_num_bboxes=min(limits, default=-1))


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """Options of a Scene.

    skip: detect on frames 0, skip, 2 * skip, ..., or "auto": when the frames give reason to. track: people keep ids.
    smooth: "one-euro" filters each person's keypoints over time. whole_frame: there is no detector, and the frame is
    the one box.
    Raises InputError for a skip that is neither a whole number of at least 1 nor "auto", for a `track` that is no bool
    and for an unknown smooth.
    """

    skip: Skip = 1
    track: bool = False
    smooth: Smooth = "none"
    whole_frame: bool = False
    tracking: TrackOptions = field(default_factory=TrackOptions)

    def __post_init__(self) -> None:
        if isinstance(self.skip, str) and self.skip != "auto":
            raise InputError(
                f'skip must be a whole number of at least 1, not {self.skip!r}; or "auto"'
            )
        if self.skip != "auto":
            check_count("skip", self.skip)
        if not isinstance(self.track, bool):
            raise InputError(f"track must be True or False, not {self.track!r}")
        if self.smooth not in get_args(Smooth):
            raise InputError(
                f"unknown smooth {self.smooth!r}; known: {', '.join(get_args(Smooth))}"
            )

    @property
    def stateless(self) -> bool:
        """Whether each frame is by itself."""
        return self.skip == 1 and not self.track and self.smooth == "none"


def _is_none(value: Any) -> bool:
    return not isinstance(value, (bool, str)) and value == -1


def _check_size(name: str, value: Any) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= value < np.inf:
        raise InputError(f"{name} must be a number of at least 0, not {value!r}")
