"""Output files and directories of a command: checked before long work, complete or absent afterwards."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.cli.checks import require_writable
from edge.cli.console import say
from edge.media.sinks import CocoSink, CsvSink, ImageDirSink, OpenPoseSink, PictureSink, Sink
from edge.media.source import Source
from edge.media.video_sink import Pace, VideoSink
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file

VIDEO_SUFFIXES = (".mp4", ".avi")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


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
    """Outputs of `edgepose run`, None where not asked for. `out` is a video, a picture or a directory of pictures."""

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
        if self._folder and self._folder.suffix and not self._folder.is_dir():
            known = ", ".join(f"FILE{suffix}" for suffix in (*VIDEO_SUFFIXES, ".jpg", ".png"))
            raise InputError(
                f"--out {self.out}: name {known}, or a directory for pictures (without a suffix)"
            )
        for file in (self._video, self._picture, self.coco, self.csv):
            check_file(file, force=force)
        if self._folder:
            ImageDirSink(self._folder, overwrite=force)  # it checks the folder, and writes nothing
        if self.openpose:
            OpenPoseSink(self.openpose, overwrite=force)

    def open_results(self, stack: ExitStack, *, force: bool) -> list[Sink]:
        """Open the sinks of poses."""
        sinks: list[Sink] = []
        if self.coco:
            sinks.append(stack.enter_context(CocoSink(self.coco, overwrite=force)))
        if self.openpose:
            sinks.append(stack.enter_context(OpenPoseSink(self.openpose, overwrite=force)))
        if self.csv:
            sinks.append(stack.enter_context(CsvSink(self.csv, overwrite=force)))
        return sinks

    def open_pictures(self, stack: ExitStack, source: Source, *, force: bool) -> Sink | None:
        """Open the sink of annotated frames, None where they are not kept; live video keeps its own time."""
        if self._picture:
            if source.frame_count != 1:
                raise InputError(
                    f"--out {self.out} holds one picture, and the source has more frames; "
                    f"name {self._picture.with_suffix('.mp4')} or a directory"
                )
            return stack.enter_context(PictureSink(self._picture, overwrite=force))
        if self._video:
            pace: Pace = "time" if source.live else "frames"
            video = VideoSink(self._video, source.fps, pace=pace, overwrite=force)
            return stack.enter_context(video)
        if self._folder:
            return stack.enter_context(ImageDirSink(self._folder, overwrite=force))
        return None

    @property
    def _video(self) -> Path | None:
        return self._out_with(VIDEO_SUFFIXES)

    @property
    def _picture(self) -> Path | None:
        return self._out_with(PICTURE_SUFFIXES)

    @property
    def _folder(self) -> Path | None:
        return None if self._video or self._picture else self.out

    def _out_with(self, suffixes: tuple[str, ...]) -> Path | None:
        return self.out if self.out and self.out.suffix.lower() in suffixes else None
