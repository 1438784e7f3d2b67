"""One frame's result: poses, the state of each person, milliseconds and queues."""

from dataclasses import dataclass
from typing import Literal

from edge.types import Frame, Poses, counted

PersonState = Literal["detected", "tracked", "predicted"]
"""The origin of a person's box: the detector, the person's last keypoints, or the motion of a person lost since."""


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds of one frame in each of the five stages.

    load_ms: reading it, of a live source with the wait for it, 0 for a frame that was given; detect_ms: detection, or
    the decision against it; transform_ms: boxes and their crops; pose_ms: the pose model, decoding included; post_ms:
    duplicates, ids and smoothing. wait_ms: in queues and for a free stage, 0 in the sequential path.
    """

    load_ms: float = 0.0
    detect_ms: float = 0.0
    transform_ms: float = 0.0
    pose_ms: float = 0.0
    post_ms: float = 0.0
    wait_ms: float = 0.0

    @property
    def total_ms(self) -> float:
        """Sum of the stages after load: the work that one frame is."""
        return self.detect_ms + self.transform_ms + self.pose_ms + self.post_ms

    @property
    def latency_ms(self) -> float:
        """Milliseconds from the frame being read to its result, time in queues included."""
        return self.total_ms + self.wait_ms


@dataclass(frozen=True, slots=True)
class Queues:
    """Frames that waited for each stage, and results for the consumer, as a frame left the last stage.

    0 for a stage without a queue: the thread of the stage before does it too. dropped: frames of its source so far that
    newer ones replaced. All 0 in the sequential path.
    """

    detect: int = 0
    transform: int = 0
    pose: int = 0
    post: int = 0
    results: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """One frame and its poses; `detected` says whether the detector ran on it. states: one a person.

    source: which of several sources the frame is of: its number in a sequence of sources, its key in a mapping.
    """

    frame: Frame
    poses: Poses
    states: tuple[PersonState, ...]
    detected: bool
    timings: Timings
    queues: Queues = Queues()
    source: int | str = 0

    def __repr__(self) -> str:
        count = counted(len(self.poses), "person", "people")
        ran = ", detector ran" if self.detected else ""
        return f"Result(frame {self.frame.index}, {count}{ran}, {self.timings.total_ms:.1f} ms)"
