"""Figures of one source: rate, stage times, latency over the last minutes, counters and histograms.

One thread adds, another reads; the caller holds a lock.
"""

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from edge.media.preview.results import STAGES, PoseResult, stage_times

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histograms' buckets, in seconds."""
HISTORY_S = 180
_RATE_S = 5.0
_MEAN_OF = 60


@dataclass(slots=True)
class Histogram:
    """Cumulative counts of durations: counts of each bucket, the last one beyond all bounds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds


@dataclass(slots=True)
class Second:
    """Frames that arrived within one second: their number, and the sum and the largest of their latencies."""

    number: int
    frames: int = 0
    latency_ms: float = 0.0
    worst_ms: float = 0.0


@dataclass(slots=True)
class Figures:
    """Figures of one source; times are those of a monotonic clock."""

    frames: int = 0
    detections: int = 0
    stages: dict[str, Histogram] = field(
        default_factory=lambda: {stage: Histogram() for stage in STAGES}
    )
    latency: Histogram = field(default_factory=Histogram)
    last_s: float | None = None
    _arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=_MEAN_OF))
    _times: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=_MEAN_OF))
    _seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=HISTORY_S))

    def add(self, result: PoseResult, now_s: float) -> None:
        """Count one frame."""
        times = stage_times(result.timings)
        latency_ms = result.timings.latency_ms
        self.frames += 1
        self.detections += result.detected
        self.last_s = now_s
        self.latency.add(latency_ms / 1e3)
        for histogram, time_ms in zip(self.stages.values(), times, strict=True):
            histogram.add(time_ms / 1e3)
        self._arrivals.append(now_s)
        self._times.append((*times, latency_ms))
        if not self._seconds or self._seconds[-1].number != int(now_s):
            self._seconds.append(Second(int(now_s)))
        second = self._seconds[-1]
        second.frames += 1
        second.latency_ms += latency_ms
        second.worst_ms = max(second.worst_ms, latency_ms)

    def fps(self, now_s: float) -> float:
        """Return frames a second over the last 60 frames, at most 5 seconds; 0 where none came."""
        recent = [each for each in self._arrivals if now_s - each <= _RATE_S]
        if len(recent) < 2:
            return 0.0
        # the time since the last frame counts only where it is longer than usual
        period_s = (recent[-1] - recent[0]) / (len(recent) - 1)
        overdue_s = max(0.0, now_s - recent[-1] - period_s)
        return (len(recent) - 1) / max(recent[-1] - recent[0] + overdue_s, 1e-6)

    def mean_ms(self) -> dict[str, float]:
        """Return mean milliseconds of the last 60 frames in each stage, and of "latency"."""
        rows = list(self._times)
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)] if rows else []
        names = (*STAGES, "latency")
        return dict(zip(names, means or [0.0] * len(names), strict=True))

    def history(self, now_s: float) -> list[tuple[int, int, float, float]]:
        """Return (seconds ago, frames, mean, largest latency in ms) of each second that had frames, oldest first."""
        return [
            (int(now_s) - each.number, each.frames, each.latency_ms / each.frames, each.worst_ms)
            for each in self._seconds
            if int(now_s) - each.number < HISTORY_S
        ]
