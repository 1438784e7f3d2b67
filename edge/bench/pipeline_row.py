"""A row of RUN.json for a whole pipeline: frames in, poses out, with the time of each stage."""

from collections.abc import Sequence

import numpy as np

from edge.bench.figures import Histogram
from runtimes.base import Accelerator, Arithmetic
from runtimes.record import Count, NotNegative, Positive, Record, Size

STAGES = ("load", "detect", "transform", "pose", "post")


class StageRow(Record, frozen=True, kw_only=True):
    """One stage: its mean over all frames, and percentiles of the `runs` frames that it had work in, in milliseconds.

    The means of all stages add up to the mean of a frame. Detection has work in the frames that the detector ran on.
    """

    stage: str
    runs: Size
    mean_ms: NotNegative
    p50_ms: NotNegative | None
    p90_ms: NotNegative | None


class PipelineRow(Record, frozen=True, kw_only=True):
    """One pipeline on one source.

    pose, detector: names of the artifacts, detector "" for none; skip: as `edgepose run` takes it. Times in
    milliseconds are of one frame, from reading it to its poses, in the sequential path: what the stages cost where none
    waits for another. fps: frames a second of the streaming path, whose stages run side by side. people: mean a frame.
    cpu_wall: CPU time over wall time of the sequential path, 1 for a core that is always busy; valid: whether it is at
    least 0.9 and other processes leave room, None on a GPU or an NPU; others, cpus: as in a `BenchRow`. load_ms: of the
    models. macs: mean of a frame, None where a model's artifact has no cost; floor_ms: the least time for a mean frame
    by this machine's measured limits (`edge.bench.limits.floor`), floor_ratio: mean_ms / floor_ms.
    """

    source: str
    pose: str
    detector: str
    skip: str
    threads: Count
    arithmetic: Arithmetic
    accelerator: Accelerator
    runs: Size
    detector_calls: Size
    people: NotNegative
    most_people: Size
    p10_ms: Positive
    p50_ms: Positive
    p90_ms: Positive
    p90_estimate_ms: Positive | None
    p99_ms: Positive
    mean_ms: Positive
    min_ms: Positive
    histogram: Histogram
    stages: tuple[StageRow, ...]
    fps: NotNegative
    load_ms: NotNegative
    warmup_runs: Size
    cpu_wall: NotNegative
    others: NotNegative | None = None
    cpus: Count | None = None
    valid: bool | None
    peak_rss_bytes: Size | None
    macs: Size | None = None
    floor_ms: Positive | None = None
    floor_ratio: Positive | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """Equal in two runs that measured the same thing."""
        how = (self.skip, self.arithmetic, self.threads, self.accelerator)
        return ("pipeline", self.source, self.pose, self.detector, *how)

    @property
    def artifact(self) -> str:
        """The name of the row beside those of artifacts."""
        return " + ".join(filter(None, (self.detector, self.pose)))


def stage_row(stage: str, ms: Sequence[float], at_work_ms: Sequence[float]) -> StageRow:
    """Return the row of a stage from its times in all frames, and in those that it had work in."""
    p50, p90 = map(float, np.percentile(at_work_ms, (50, 90))) if at_work_ms else (None, None)
    mean_ms = sum(ms) / len(ms)
    return StageRow(stage=stage, runs=len(at_work_ms), mean_ms=mean_ms, p50_ms=p50, p90_ms=p90)
