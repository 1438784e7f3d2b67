"""Where `edgepose run` puts its results: checked before any model loads, kept or dropped together."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge.media.sinks import CocoSink, CsvSink, ImageDirSink, OpenPoseSink, Sink, VideoSink
from runtimes.errors import InputError, TargetExistsError

VIDEO_SUFFIXES = (".mp4", ".avi")


@dataclass(frozen=True, slots=True)
class Targets:
    """What was asked for, None where it was not. `out` is a video file or a directory of pictures."""

    out: Path | None
    coco: Path | None
    openpose: Path | None
    csv: Path | None

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return any((self.out, self.coco, self.openpose, self.csv))

    def check(self, *, force: bool) -> None:
        """Raise InputError for a target that cannot be what it should, TargetExistsError where --force is missing."""
        named = [each for each in (self.out, self.coco, self.openpose, self.csv) if each]
        if len({each.resolve() for each in named}) < len(named):
            raise InputError("two options name the same target; give each its own")
        if self.out and self.out.suffix and not (self._is_video or self.out.is_dir()):
            known = " or ".join(f"FILE{suffix}" for suffix in VIDEO_SUFFIXES)
            raise InputError(f"--out {self.out}: name {known}, or a directory for pictures")
        for file in (self.out if self._is_video else None, self.coco, self.csv):
            if file and file.is_dir():
                raise InputError(f"{file} is a directory; name a file")
            if file and file.exists() and not force:
                raise TargetExistsError(
                    f"{file} exists; add --force to replace it, or name another"
                )

    def open_results(self, stack: ExitStack, *, force: bool) -> list[Sink]:
        """Open the sinks of results."""
        sinks: list[Sink] = []
        if self.coco:
            sinks.append(stack.enter_context(CocoSink(self.coco, overwrite=force)))
        if self.openpose:
            sinks.append(stack.enter_context(OpenPoseSink(self.openpose)))
        if self.csv:
            sinks.append(stack.enter_context(CsvSink(self.csv, overwrite=force)))
        return sinks

    def open_pictures(self, stack: ExitStack, fps: float, *, force: bool) -> Sink | None:
        """Open the sink of drawn frames, None where they are not kept."""
        if self.out is None:
            return None
        if self._is_video:
            return stack.enter_context(VideoSink(self.out, fps, overwrite=force))
        return stack.enter_context(ImageDirSink(self.out))

    @property
    def _is_video(self) -> bool:
        return self.out is not None and self.out.suffix.lower() in VIDEO_SUFFIXES
