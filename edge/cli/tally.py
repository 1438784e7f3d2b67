"""Counts and times of a run, as a table and as JSON."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.cli.console import emit_json, emit_table, format_table, say
from edge.media.source import Losses
from edge.model import Model
from edge.pipeline import Pipeline, Result

# Frames whose times are kept: bounds the memory of a run of weeks.
_LAST = 100_000
_STAGES = ("load", "detect", "transform", "pose", "post", "frame")


def _times() -> "deque[float]":
    return deque(maxlen=_LAST)


@dataclass
class Tally:
    """Counts of a run, and the times of its last 100,000 frames in milliseconds, by stage."""

    frames: int = 0
    with_people: int = 0
    people: int = 0
    detections_run: int = 0
    wall_s: float = 0.0
    times_ms: "dict[str, deque[float]]" = field(
        default_factory=lambda: {stage: _times() for stage in _STAGES}
    )

    def add(self, result: Result) -> None:
        """Count one frame."""
        self.frames += 1
        self.with_people += len(result.poses) > 0
        self.people += len(result.poses)
        timings = result.timings
        if result.detected:
            self.detections_run += 1
            self.times_ms["detect"].append(timings.detect_ms)
        self.times_ms["load"].append(timings.load_ms)
        self.times_ms["transform"].append(timings.transform_ms)
        self.times_ms["pose"].append(timings.pose_ms)
        self.times_ms["post"].append(timings.post_ms)
        self.times_ms["frame"].append(timings.total_ms)

    def counts(self, losses: Losses) -> dict[str, float | int | None]:
        """Return the counts, with frames a second from the first frame to the last, reading and writing included."""
        return {
            "frames": self.frames,
            "frames_with_people": self.with_people,
            "poses": self.people,
            "detections_run": self.detections_run,
            "frames_per_s": round(self.frames / self.wall_s, 2) if self.wall_s else None,
            "unread_frames": losses.unread,
            "missing_frames": losses.missing,
            "dropped_frames": losses.dropped,
            "reconnects": losses.reconnects,
        }

    def timings(self) -> dict[str, dict[str, float | None]]:
        """Return mean, p50, p90 and p99 in milliseconds by stage; frame is the sum of those after load."""
        return {stage: _spread(list(values)) for stage, values in self.times_ms.items()}


Rows = Sequence[dict[str, Any]] | None
Emit = Callable[[Tally, Losses, Pipeline, Rows], None]


def emit_figures(tally: Tally, losses: Losses, pipeline: Pipeline, sources: Rows) -> None:
    """Print the counts, the times, the engine and arithmetic in use, and a row for each of several sources, as JSON."""
    flat = {
        f"{stage}_{name}_ms": value
        for stage, row in tally.timings().items()
        for name, value in row.items()
    }
    each = {} if sources is None else {"sources": sources}
    emit_json({**tally.counts(losses), **flat, "models": _models(pipeline), **each})


def emit_tables(tally: Tally, losses: Losses, pipeline: Pipeline, _sources: Rows) -> None:
    """Print the same as tables, without the rows, whose lines are on stderr."""
    for header, rows in _tables(tally, losses, pipeline):
        emit_table(header, rows)


def say_tables(tally: Tally, losses: Losses, pipeline: Pipeline, _sources: Rows) -> None:
    """Print the same as tables on stderr, for runs whose results go to stdout."""
    for header, rows in _tables(tally, losses, pipeline):
        for line in format_table(header, rows):
            say(line)


def _tables(
    tally: Tally, losses: Losses, pipeline: Pipeline
) -> "list[tuple[list[str], list[list[str]]]]":
    counts = [[name, _shown(value)] for name, value in tally.counts(losses).items()]
    times = [
        [stage, *(_shown(value) for value in row.values())]
        for stage, row in tally.timings().items()
    ]
    models = _models(pipeline)
    engines = [[role, *map(_word, row.values())] for role, row in models.items()]
    return [
        (["figure", "value"], counts),
        (["time in ms", "mean", "p50", "p90", "p99"], times),
        (["model", *models["pose"]], engines),
    ]


def _models(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    models = {"pose": engine_of(pipeline.pose)}
    if pipeline.detector:
        models["detector"] = engine_of(pipeline.detector)
    return models


def engine_of(model: Model) -> dict[str, Any]:
    """Return a model's name, its runtime, and the options in effect as its engine reports them."""
    effective = model.session.effective
    return {
        "artifact": model.name,
        "runtime": getattr(model.spec, "runtime", None),
        "engine": effective.engine,
        "arithmetic": effective.precision,
        "accelerator": effective.accelerator,
        "threads": effective.threads,
        "placement": dict(effective.placement.nodes) if effective.placement else None,
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"mean": None, "p50": None, "p90": None, "p99": None}
    p50, p90, p99 = np.percentile(values, (50, 90, 99))
    named = {"mean": np.mean(values), "p50": p50, "p90": p90, "p99": p99}
    return {name: round(float(value), 3) for name, value in named.items()}


def _word(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return "-" if value is None else str(value)


def _shown(value: float | None) -> str:
    return "-" if value is None else str(value)
