"""Metrics in Prometheus' text format, version 0.0.4."""

import itertools
from collections.abc import Callable, Iterator, Mapping

from edge.media.preview.channel import Channel
from edge.media.preview.figures import BOUNDS_S, Histogram
from edge.media.preview.hub import Hub
from edge.media.preview.results import STAGES
from runtimes.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(hub: Hub) -> str:
    """Return the metrics of all sources."""
    channels = hub.channels()
    lines = [
        *_of_preview(hub),
        *_counters(channels),
        *_gauges(channels),
        *_histograms(channels),
    ]
    return "\n".join(lines) + "\n"


def _of_preview(hub: Hub) -> Iterator[str]:
    yield from _head("edgepose_info", "gauge", "Version and models.")
    yield _sample("edgepose_info", {"version": __version__, "models": " ".join(hub.models)}, 1)
    yield from _head("edgepose_streams", "gauge", "Open streams of pictures and of results.")
    yield _sample("edgepose_streams", {}, hub.streams)
    yield from _head("edgepose_healthy", "gauge", "1 while frames arrive, as /healthz.")
    yield _sample("edgepose_healthy", {}, int(hub.health()[0]))


def _counters(channels: list[Channel]) -> Iterator[str]:
    yield from _head("edgepose_frames_total", "counter", "Frames with a result.")
    for each in channels:
        yield _sample("edgepose_frames_total", {"source": each.name}, each.number)
    yield from _head("edgepose_detections_total", "counter", "Frames on which the detector ran.")
    for each in channels:
        with each.figures() as figures:
            count = figures.detections
        yield _sample("edgepose_detections_total", {"source": each.name}, count)
    yield from _head(
        "edgepose_lost_frames_total",
        "counter",
        "Frames without a result: unread (damaged), missing (of a truncated file) or dropped (for newer ones).",
    )
    for each in channels:
        for reason, count in each.lost().items():
            labels = {"source": each.name, "reason": reason}
            yield _sample("edgepose_lost_frames_total", labels, count)


def _gauges(channels: list[Channel]) -> Iterator[str]:
    states = [(each.name, each.state()) for each in channels]
    rows: tuple[tuple[str, str, Callable[[dict[str, object]], object]], ...] = (
        ("edgepose_fps", "Frames a second, of the last 60 frames.", lambda state: state["fps"]),
        (
            "edgepose_last_frame_age_seconds",
            "Time since the newest result.",
            lambda state: state["age_s"],
        ),
        (
            "edgepose_ended",
            "1 once the source has ended.",
            lambda state: int(bool(state["ended"])),
        ),
    )
    for name, text, value in rows:
        yield from _head(name, "gauge", text)
        for source, state in states:
            yield _sample(name, {"source": source}, value(state) or 0)
    yield from _head("edgepose_people", "gauge", "People in the newest frame.")
    for source, state in states:
        yield _sample("edgepose_people", {"source": source}, len(state["people"]))


def _histograms(channels: list[Channel]) -> Iterator[str]:
    yield from _head("edgepose_latency_seconds", "histogram", "From a frame's reading to result.")
    for each in channels:
        with each.figures() as figures:
            lines = list(
                _histogram("edgepose_latency_seconds", {"source": each.name}, figures.latency)
            )
        yield from lines
    yield from _head("edgepose_stage_seconds", "histogram", "Time of a frame in one stage.")
    for each in channels:
        for stage in STAGES:
            labels = {"source": each.name, "stage": stage}
            with each.figures() as figures:
                lines = list(_histogram("edgepose_stage_seconds", labels, figures.stages[stage]))
            yield from lines


def _histogram(name: str, labels: Mapping[str, str], histogram: Histogram) -> Iterator[str]:
    totals = list(itertools.accumulate(histogram.counts))
    for bound, total in zip((*map(str, BOUNDS_S), "+Inf"), totals, strict=True):
        yield _sample(f"{name}_bucket", {**labels, "le": bound}, total)
    yield _sample(f"{name}_sum", labels, f"{histogram.sum_s:.6f}")
    yield _sample(f"{name}_count", labels, totals[-1])


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: object) -> str:
    escaped = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{name}{{{escaped}}} {value}" if escaped else f"{name} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
