"""Output files and directories of a command: checked before long work, complete or absent afterwards."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.cli.checks import require_writable
from edge.cli.console import say
from edge.media.sinks import CocoSink, CsvSink, ImageDirSink, OpenPoseSink, Sink
from edge.media.source import Source
from edge.media.video_sink import Pace, VideoSink
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file

VIDEO_SUFFIXES = (".mp4", ".avi")


def check_distinct(paths: Sequence[Path | None]) -> None:
    """Raise InputError where two options name the same target."""
    given = [path.resolve() for path in paths if path]
    if len(set(given)) < len(given):
        raise InputError("two options name the same target; give each its own")


def check_file(path: Path | None, *, force: bool) -> None:
    """Raise InputError for a directory, TargetExistsError for a file that may not be replaced."""
    if path and path.is_dir():
        raise InputError(f"{path} is a directory; name a file")
    if path and path.exists() and not force:
        raise TargetExistsError(f"{path} exists; add --force to replace it, or name another")


def check_reports(files: Sequence[Path | None], *, force: bool) -> None:
    """Refuse, before anything runs, a report that cannot be written, may not be replaced, or is named twice."""
    check_distinct(files)
    for path in files:
        check_file(path, force=force)
        if path and not path.parent.is_dir():
            raise InputError(f"{path.parent} is no directory; make it first")
        if path:
            require_writable(path.parent)


def write_report(path: Path, data: bytes) -> None:
    """Write a file, complete or not at all, and say so."""
    with atomic_file(path) as stream:
        stream.write(data)
    say(f"wrote {path}")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of `edgepose run`, None where not asked for. `out` is a video file or a directory of pictures."""

    out: Path | None
    coco: Path | None
    openpose: Path | None
    csv: Path | None

    @property
    def given(self) -> list[Path]:
        """All that were asked for."""
        return [each for each in (self.out, self.coco, self.openpose, self.csv) if each]

    def check(self, *, force: bool) -> None:
        """Raise InputError for an unusable target, TargetExistsError for one that may not be replaced."""
        check_distinct(self.given)
        if self.out and self.out.suffix and not (self._is_video or self.out.is_dir()):
            known = " or ".join(f"FILE{suffix}" for suffix in VIDEO_SUFFIXES)
            raise InputError(f"--out {self.out}: name {known}, or a directory for pictures")
        for file in (self.out if self._is_video else None, self.coco, self.csv):
            check_file(file, force=force)

    def open_results(self, stack: ExitStack, *, force: bool) -> list[Sink]:
        """Open the sinks of poses."""
        sinks: list[Sink] = []
        if self.coco:
            sinks.append(stack.enter_context(CocoSink(self.coco, overwrite=force)))
        if self.openpose:
            sinks.append(stack.enter_context(OpenPoseSink(self.openpose)))
        if self.csv:
            sinks.append(stack.enter_context(CsvSink(self.csv, overwrite=force)))
        return sinks

    def open_pictures(self, stack: ExitStack, source: Source, *, force: bool) -> Sink | None:
        """Open the sink of annotated frames, None where they are not kept; live video keeps its own time."""
        if self.out is None:
            return None
        if self._is_video:
            pace: Pace = "time" if source.live else "frames"
            video = VideoSink(self.out, source.fps, pace=pace, overwrite=force)
            return stack.enter_context(video)
        return stack.enter_context(ImageDirSink(self.out))

    @property
    def _is_video(self) -> bool:
        return self.out is not None and self.out.suffix.lower() in VIDEO_SUFFIXES
