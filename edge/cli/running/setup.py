"""Setup that the sources of a run share, and the report of each."""

import glob
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edge.cli.console import say
from edge.cli.outputs import Outputs
from edge.cli.recording import Recording
from edge.cli.running.names import NamedSource
from edge.cli.serve import preview_of
from edge.cli.tally import Emit, Tally
from edge.media.animation import animation_format
from edge.media.image_files import is_image
from edge.media.live.limits import LiveLimits
from edge.media.paths import exists, is_file, is_folder, without_login
from edge.media.source import Losses, Source
from edge.media.sources import open_source
from edge.pipeline import Pipeline
from edge.types import counted
from runtimes.errors import EdgeposeError, InputError

if TYPE_CHECKING:
    from edge.media.preview import Preview

Status = Literal["done", "skipped", "interrupted", "failed"]


@dataclass(frozen=True, slots=True)
class Setup:
    """One engine, and where and how results of its sources are written.

    threshold: of keypoints that are drawn; note: below every drawn frame; emit: prints the figures; preview: the
    web preview, None without; limits: patience with live sources; total: counts of all sources.
    """

    pipeline: Pipeline
    outputs: Outputs
    force: bool
    threshold: float
    note: str
    emit: Emit
    preview: "Preview | None" = None
    limits: LiveLimits = field(default_factory=LiveLimits)
    total: Tally = field(default_factory=Tally)

    def open(self, source: str) -> Source:
        """Open a source, with the run's patience for live ones."""
        return open_source(source, limits=self.limits)

    def recording(
        self, targets: Outputs, source: NamedSource, frames: Source, *, part: bool
    ) -> Recording:
        """Return the recording of one of several sources; part: JSON lines lie in FILE.part until it is done."""
        label = without_login(source.source)
        return Recording(
            sinks=targets.results(label, force=self.force, part=part),
            pictures=targets.pictures(frames, force=self.force),
            show=False,
            threshold=self.threshold,
            note=self.note,
            advance=lambda: None,
            total=self.total,
            # files that run one after another have one place in the preview
            preview=preview_of(self.preview, "" if part else label, frames.losses),
        )


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Counts of one source, and its error, "" where there was none."""

    source: NamedSource
    status: Status
    frames: int = 0
    poses: int = 0
    losses: Losses | None = None
    error: str = ""

    def show(self) -> None:
        """Print one line on stderr."""
        held = f"{counted(self.frames, 'frame')}, {counted(self.poses, 'person', 'people')}"
        notes = self.losses.notes() if self.losses else []
        problem = f": {self.error}" if self.error else ""
        say(f"{self.source.name} {self.status} ({', '.join([held, *notes])}){problem}")


def report_of(
    source: NamedSource,
    recording: Recording,
    frames: Source,
    error: EdgeposeError | None,
    status: Status = "done",
) -> SourceReport:
    """Return the report of a source that was opened; status: where there is no error."""
    tally = recording.tally
    status = "failed" if error else status
    return SourceReport(
        source, status, tally.frames, tally.people, frames.losses, str(error) if error else ""
    )


def picture_suffix(source: str) -> str:
    """Return the suffix of a source's annotated frames: a picture, a video, or "" for a directory of pictures."""
    path = Path(source)
    if is_file(path) and is_image(path):
        return ".mp4" if animation_format(path) else ".jpg"
    patterned = glob.has_magic(source) and "://" not in source and not exists(path)
    return "" if is_folder(path) or patterned else ".mp4"


def targets_of(outputs: Outputs, source: NamedSource) -> Outputs:
    """Return the files of one of several sources; raises InputError where one is the source itself."""
    targets = outputs.of_source(source.name, picture_suffix(source.source))
    check_spares(targets, source.source)
    return targets


def check_spares(targets: Outputs, source: str) -> None:
    """Raise InputError where a target is the source's own file or directory, also by a link, or holds it."""
    if not exists(source):
        return
    own = Path(source).resolve()
    for path in targets.given:
        if exists(path) and (path.samefile(own) or path.resolve() in own.parents):
            raise InputError(f"{source} would be replaced by its result; name another target")


def make_folders(targets: Outputs) -> None:
    """Make the directories of a source's files; raises InputError where that fails."""
    for folder in {path.parent for path in targets.given}:
        make_folder(folder)


def make_folder(folder: Path) -> None:
    """Make a directory and those above it; raises InputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}") from error
