"""A run in progress: its counts, and the files, pictures and window that its results go to."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge.cli.console import say, silence_stdout
from edge.cli.serve import SourcePreview
from edge.cli.tally import Emit, Tally
from edge.cli.window import show_frame
from edge.media.sinks import JsonLinesSink, JsonLinesStream, Sink, SinkGroup, TargetSink, VideoSink
from edge.media.source import Losses, Source
from edge.pipeline import Pipeline, Result
from edge.types import Frame, counted
from runtimes.artifact import Artifact
from runtimes.errors import EdgeposeError, OutputError, SourceError

RANDOM_NOTE = "RANDOM WEIGHTS: for smoke tests only, these are not poses"


@dataclass
class Recording:
    """A run in progress: its counts, and where results and annotated frames go.

    tally: of frames that all sinks hold; total: of this and other sources. held_frames, held_people: of each sink,
    which differ once a disk is full.
    """

    sinks: list[Sink]
    pictures: Sink | None
    show: bool
    threshold: float
    note: str
    advance: Callable[[], None]
    tally: Tally = field(default_factory=Tally)
    total: Tally | None = None
    preview: SourcePreview | None = None
    held_frames: "Counter[Sink]" = field(default_factory=Counter)
    held_people: "Counter[Sink]" = field(default_factory=Counter)

    @property
    def all_sinks(self) -> list[Sink]:
        """Those of results and of pictures."""
        return [*([self.pictures] if self.pictures else []), *self.sinks]

    def add(self, result: Result) -> bool:
        """Count, write and show one frame; False when the user closed the window."""
        for sink in self.sinks:
            self._write(sink, result.frame, result)
        drawn = None
        if self.pictures or self.show:
            drawn = annotate(result, self.threshold, self.note)
        if self.pictures and drawn:
            self._write(self.pictures, drawn, result)
        self.tally.add(result)
        if self.total:
            self.total.add(result)
        if self.preview:
            self.preview.write(result)
        self.advance()
        return not (self.show and drawn) or show_frame(drawn)

    def _write(self, sink: Sink, frame: Frame, result: Result) -> None:
        """Write into one sink; what does not fit on its disk is not counted as held."""
        sink.write(frame, result.poses, result.states)
        self.held_frames[sink] += 1
        self.held_people[sink] += len(result.poses)


def record(
    pipeline: Pipeline, frames: Source, recording: Recording, stop: threading.Event
) -> EdgeposeError | None:
    """Run until the frames end, the window is closed, stdout has no reader, or `stop` is set.

    Returns, instead of raising, the error of a source that broke off after its first frame and of a sink whose disk is
    full: the recording until then is kept.
    """
    broken: EdgeposeError | None = None
    began = time.perf_counter()
    try:
        with SinkGroup(recording.all_sinks):
            broken = _record(pipeline, frames, recording, stop)
            recording.tally.wall_s = time.perf_counter() - began
    except OutputError as error:  # a file that could not be completed
        return broken or error
    return broken


def _record(
    pipeline: Pipeline, frames: Source, recording: Recording, stop: threading.Event
) -> EdgeposeError | None:
    try:
        for result in pipeline.stream(frames):
            if not recording.add(result) or stop.is_set():
                break
    except SourceError as error:
        if not recording.tally.frames:
            raise
        return error
    except OutputError as error:
        return error
    except BrokenPipeError:  # as of `| head -1`
        if any(isinstance(sink, JsonLinesStream) for sink in recording.sinks):
            silence_stdout()
    return None


def banner(*artifacts: Artifact | None) -> str:
    """Return the note for every picture where an artifact has random weights, "" elsewhere."""
    given = [artifact for artifact in artifacts if artifact]
    return RANDOM_NOTE if any(each.manifest.lineage.weights == "random" for each in given) else ""


def warn_of_drawn(source: str, *artifacts: Artifact | None) -> None:
    """Say once that weights trained on drawn people alone meet something else."""
    drawn = [
        each.name for each in artifacts if each and each.manifest.lineage.trained_on == "drawn"
    ]
    if drawn and source != "synth":
        say(
            f"warning: {' and '.join(drawn)}: trained on drawn people only, expect little of it elsewhere; for "
            "photographs and cameras: edgepose get rtmpose-s rtmdet-nano"
        )


def annotate(result: Result, threshold: float, note: str) -> Frame:
    """Return the result's frame with its poses drawn, and the note below them."""
    from edge.media.draw import draw_poses, put_banner

    image = draw_poses(result.frame.image, result.poses, threshold, states=result.states)
    return replace(result.frame, image=put_banner(image, note) if note else image)


def report_run(recording: Recording, pipeline: Pipeline, losses: Losses, emit: Emit) -> None:
    """Print the figures with `emit`, and say which frames were lost and what was written."""
    tally = recording.tally
    emit(tally, losses, pipeline, None)
    notes = losses.notes()
    if notes:
        say(", ".join([counted(tally.frames, "frame"), *notes]))
    for sink in recording.all_sinks:
        path = _written(sink)
        if path:
            frames = counted(recording.held_frames[sink], "frame")
            people = counted(recording.held_people[sink], "person", "people")
            say(f"wrote {path} ({frames}, {people}{_paced(sink)})")
    if recording.note:
        say(recording.note)


def _written(sink: Sink) -> Path | None:
    """Return where a sink's results are; None for a video of no frames, and for one that could not be completed."""
    if isinstance(sink, JsonLinesSink):
        return sink.path if sink.path.exists() else None
    return sink.path if isinstance(sink, TargetSink) and sink.in_place else None


def _paced(sink: Sink) -> str:
    """Return how many frames a video repeats, leaves out or scales to keep its time and size, or lacks at its end."""
    if not isinstance(sink, VideoSink):
        return ""
    said = ""
    if sink.repeated or sink.left_out:
        said = f"; {sink.repeated} repeated and {sink.left_out} left out to keep the source's time"
    if sink.fitted:
        said += f"; {counted(sink.fitted, 'frame')} of another size scaled"
    if sink.missing:
        said += f"; the last {sink.missing} of them missing"
    return said
