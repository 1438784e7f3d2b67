"""A run in progress: its counts, and the files, pictures and window that its results go to."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge.cli.console import say
from edge.cli.tally import Tally, emit_tally
from edge.cli.window import show_frame
from edge.media.sinks import Sink
from edge.media.source import Losses
from edge.media.video_sink import VideoSink
from edge.pipeline import Pipeline, Result
from edge.types import Frame, Poses, counted
from runtimes.artifact import Artifact

RANDOM_NOTE = "RANDOM WEIGHTS: for smoke tests only, these are not poses"


@dataclass
class Recording:
    """A run in progress: its counts, and where results and annotated frames go."""

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


def annotate(frame: Frame, poses: Poses, threshold: float, note: str) -> Frame:
    """Return the frame with its poses drawn, and the note below them."""
    from edge.media.draw import draw_poses, put_banner

    image = draw_poses(frame.image, poses, threshold)
    return replace(frame, image=put_banner(image, note) if note else image)


def report_run(recording: Recording, pipeline: Pipeline, losses: Losses, *, as_json: bool) -> None:
    """Print the figures, and say which frames were lost and what was written."""
    tally = recording.tally
    emit_tally(tally, losses, pipeline, as_json=as_json)
    notes = losses.notes()
    if notes:
        say(", ".join([counted(tally.frames, "frame"), *notes]))
    held = f"{counted(tally.frames, 'frame')}, {counted(tally.people, 'person', 'people')}"
    pictures = [recording.pictures] if recording.pictures else []
    for sink in (*pictures, *recording.sinks):
        if sink.path.exists():  # a video of no frames is no file
            say(f"wrote {sink.path} ({held}{_paced(sink)})")
    if recording.note:
        say(recording.note)


def _paced(sink: Sink) -> str:
    """Return how many frames a live recording repeated or left out to keep its time."""
    if not isinstance(sink, VideoSink) or not (sink.repeated or sink.left_out):
        return ""
    return f"; {sink.repeated} repeated and {sink.left_out} left out to keep the source's time"
