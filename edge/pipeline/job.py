"""One frame on its way through the stages: what they hand on, and their times."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from edge.model import PoseInputs
from edge.pipeline.candidates import Candidates
from edge.pipeline.result import PersonState, Queues, Result, Timings
from edge.pipeline.scene import Scene
from edge.types import Detections, Frame, Poses

StageName = Literal["detect", "transform", "pose", "post"]


@dataclass(slots=True)
class Job:
    """A frame, the scene of its source, and what the stages have made of it so far.

    found: the detector's people, None where it did not run; candidates: None for a bottom-up model. ms: milliseconds
    by stage. began: of `time.perf_counter`, when the frame was there.
    """

    frame: Frame
    scene: Scene
    source: int | str = 0
    load_ms: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    detected: bool = False
    found: Detections | None = None
    candidates: Candidates | None = None
    inputs: PoseInputs = field(init=False)
    poses: Poses = field(init=False)
    states: tuple[PersonState, ...] = ()
    ms: dict[StageName, float] = field(default_factory=dict)
    done: float = 0.0

    def run(self, name: StageName, stage: "Stage") -> None:
        """Do one stage, and note its time."""
        start = time.perf_counter()
        stage(self)
        self.done = time.perf_counter()
        self.ms[name] = (self.done - start) * 1e3

    def result(self, queues: Queues | None = None) -> Result:
        """Return the result of a frame that went through all stages; queues: None where one thread did all."""
        work = sum(self.ms.values())
        waited = 0.0 if queues is None else max((self.done - self.began) * 1e3 - work, 0.0)
        timings = Timings(
            load_ms=self.load_ms,
            detect_ms=self.ms["detect"],
            transform_ms=self.ms["transform"],
            pose_ms=self.ms["pose"],
            post_ms=self.ms["post"],
            wait_ms=waited,
        )
        return Result(
            self.frame,
            self.poses,
            self.states,
            self.detected,
            timings,
            queues or Queues(),
            self.source,
        )


Stage = Callable[[Job], None]
