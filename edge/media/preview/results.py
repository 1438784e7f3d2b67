"""Shape of the results that a preview takes; `edge.Result` is one."""

from collections.abc import Sequence
from typing import Protocol

from edge.types import Frame, Poses

STAGES = ("load", "detect", "transform", "pose", "post")


class StageTimes(Protocol):
    """Milliseconds of one frame in each stage, and from its being read to its result."""

    @property
    def load_ms(self) -> float:
        """Reading."""

    @property
    def detect_ms(self) -> float:
        """Detection."""

    @property
    def transform_ms(self) -> float:
        """Boxes and crops."""

    @property
    def pose_ms(self) -> float:
        """The pose model."""

    @property
    def post_ms(self) -> float:
        """Duplicates, ids and smoothing."""

    @property
    def latency_ms(self) -> float:
        """From being read to the result."""


class Depths(Protocol):
    """Counts of a streaming engine's queues."""

    @property
    def dropped(self) -> int:
        """Frames of the source that newer ones replaced."""


class PoseResult(Protocol):
    """One frame, its people, and what they cost."""

    @property
    def frame(self) -> Frame:
        """The frame, without drawings."""

    @property
    def poses(self) -> Poses:
        """Its people."""

    @property
    def states(self) -> Sequence[str]:
        """The state of each person."""

    @property
    def detected(self) -> bool:
        """Whether the detector ran."""

    @property
    def timings(self) -> StageTimes:
        """Milliseconds."""

    @property
    def queues(self) -> Depths:
        """Queues as the frame left the last stage."""

    @property
    def source(self) -> int | str:
        """Number or name of the frame's source."""


def stage_times(timings: StageTimes) -> tuple[float, ...]:
    """Return milliseconds of each of STAGES."""
    return (
        timings.load_ms,
        timings.detect_ms,
        timings.transform_ms,
        timings.pose_ms,
        timings.post_ms,
    )
