"""A run in progress: its counts and times, and the files, pictures and window that its results go to."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from edge.cli.console import emit_json, emit_table, say
from edge.cli.outputs import Outputs
from edge.cli.window import show_frame
from edge.media.sinks import Sink
from edge.media.source import Losses
from edge.pipeline import Result
from edge.types import Frame, Poses
from runtimes.artifact import Artifact

RANDOM_NOTE = "RANDOM WEIGHTS: for smoke tests only, these are not poses"


@dataclass
class Tally:
    """Counts and times of a run."""

    people: list[int] = field(default_factory=list)
    detect_ms: list[float] = field(default_factory=list)
    pose_ms: list[float] = field(default_factory=list)
    total_ms: list[float] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one frame."""
        self.people.append(len(result.poses))
        if result.detected:
            self.detect_ms.append(result.timings.detect_ms)
        self.pose_ms.append(result.timings.pose_ms)
        self.total_ms.append(result.timings.total_ms)

    def report(self) -> dict[str, float | int | None]:
        """Return the summary, medians in milliseconds."""
        return {
            "frames": len(self.people),
            "frames_with_people": int(np.count_nonzero(self.people)),
            "poses": sum(self.people),
            "detections_run": len(self.detect_ms),
            "detect_p50_ms": _median(self.detect_ms),
            "pose_p50_ms": _median(self.pose_ms),
            "frame_p50_ms": _median(self.total_ms),
        }


@dataclass
class Recording:
    """A run in progress: its figures, and where results and annotated frames go."""

    sinks: list[Sink]
    pictures: Sink | None
    show: bool
    threshold: float
    note: str
    advance: Callable[[], None]
    tally: Tally = field(default_factory=Tally)

    def add(self, result: Result) -> bool:
        """Count, write and show one frame; False when the user closed the window."""
        self.tally.add(result)
        for sink in self.sinks:
            sink.write(result.frame, result.poses)
        self.advance()
        if not (self.pictures or self.show):
            return True
        drawn = annotate(result.frame, result.poses, self.threshold, self.note)
        if self.pictures:
            self.pictures.write(drawn, result.poses)
        return not self.show or show_frame(drawn)


def banner(*artifacts: Artifact | None) -> str:
    """Return the note for every picture where an artifact has random weights, "" elsewhere."""
    given = [artifact for artifact in artifacts if artifact]
    return RANDOM_NOTE if any(each.manifest.lineage.weights == "random" for each in given) else ""


def annotate(frame: Frame, poses: Poses, threshold: float, note: str) -> Frame:
    """Return the frame with its poses drawn, and the note below them."""
    from edge.media.draw import draw_poses, put_banner

    image = draw_poses(frame.image, poses, threshold)
    return replace(frame, image=put_banner(image, note) if note else image)


def report_run(recording: Recording, losses: Losses, outputs: Outputs, as_json: bool) -> None:
    """Print the figures, and say what was written and which frames were lost."""
    report = recording.tally.report() | {
        "unread_frames": losses.unread,
        "missing_frames": losses.missing,
        "dropped_frames": losses.dropped,
    }
    if as_json:
        emit_json(report)
    else:
        emit_table(
            ["figure", "value"],
            [[name, "-" if value is None else str(value)] for name, value in report.items()],
        )
    notes = losses.notes()
    if notes:
        frames = len(recording.tally.people)
        say("; ".join([f"{frames} frame{'s' * (frames != 1)}", *notes]))
    if outputs.given:
        say(f"wrote {', '.join(map(str, outputs.given))}")
    if recording.note:
        say(recording.note)


def _median(values: list[float]) -> float | None:
    return round(float(np.median(values)), 3) if values else None
