"""Output files and directories of a command: checked before long work, complete or absent afterwards."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.cli.checks import require_writable
from edge.cli.console import say
from edge.media.paths import require_utf8
from edge.media.sinks import (
    CocoSink,
    CsvSink,
    Fit,
    ImageDirSink,
    JsonLinesSink,
    JsonLinesStream,
    OpenPoseSink,
    Pace,
    PictureSink,
    Sink,
    VideoSink,
)
from edge.media.source import Source
from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file

VIDEO_SUFFIXES = (".mp4", ".avi")
STDOUT = Path("-")
_ELSEWHERE = "name a target in another folder"
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
            require_writable(path.parent, _ELSEWHERE)


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
    jsonl: Path | None

    def __post_init__(self) -> None:
        if STDOUT in (self.out, self.coco, self.openpose, self.csv):
            raise InputError("- is stdout, for --save-jsonl alone; name a file or a folder")

    @property
    def given(self) -> list[Path]:
        """All that were asked for."""
        asked = (self.out, self.coco, self.openpose, self.csv, self.jsonl)
        return [each for each in asked if each]

    @property
    def to_stdout(self) -> bool:
        """Whether stdout is for JSON lines alone."""
        return self.jsonl == STDOUT

    def check(self, *, force: bool) -> None:
        """Raise InputError for an unusable target, TargetExistsError for one that may not be replaced."""
        for path in self.given:
            require_utf8(path)
        check_distinct(self.given)
        self._check_nesting()
        if self._folder and self._folder.suffix and not self._folder.is_dir():
            known = ", ".join(f"FILE{suffix}" for suffix in (*VIDEO_SUFFIXES, ".jpg", ".png"))
            raise InputError(
                f"--out {self.out}: name {known}, or a directory for pictures (without a suffix)"
            )
        for file in (self._video, self._picture, self.coco, self.csv, self._lines):
            check_file(file, force=force)
        if self._folder:
            ImageDirSink(self._folder, overwrite=force)  # it checks the folder, and writes nothing
        if self.openpose:
            OpenPoseSink(self.openpose, overwrite=force)

    def check_parents(self) -> None:
        """Raise InputError for a target in a directory that is missing or cannot be written."""
        paths = (self.out, self.coco, self.openpose, self.csv, self._lines)
        for folder in {path.parent for path in paths if path}:
            if not folder.is_dir():
                raise InputError(
                    f"cannot write into {folder}: no such directory; create the folder first"
                )
            require_writable(folder, _ELSEWHERE)

    def _check_nesting(self) -> None:
        """Raise InputError for a target in a directory that another replaces as a whole."""
        for folder in filter(None, (self._folder, self.openpose)):
            for path in self.given:
                if path != STDOUT and folder.resolve() in path.resolve().parents:
                    raise InputError(
                        f"{path} lies in {folder}, which is a directory of one output; name another place"
                    )

    def check_lines(self, *, force: bool) -> None:
        """Raise InputError for unusable JSON lines of several sources, TargetExistsError where they exist."""
        if self.shared_lines:
            Outputs(None, None, None, None, self.jsonl).check(force=force)

    def results(self, source: str, *, force: bool, part: bool = False) -> list[Sink]:
        """Return the sinks of poses; source: in each JSON line; part: these lie in FILE.part until the run is done."""
        sinks: list[Sink] = []
        if self.jsonl:  # first, since it can be read while others are written
            sinks.append(
                JsonLinesStream(sys.stdout, source=source)
                if self.to_stdout
                else JsonLinesSink(
                    self.jsonl,
                    source=source,
                    part=self.jsonl.with_name(f"{self.jsonl.name}.part") if part else None,
                    overwrite=force,
                )
            )
        if self.coco:
            sinks.append(CocoSink(self.coco, overwrite=force))
        if self.openpose:
            sinks.append(OpenPoseSink(self.openpose, overwrite=force))
        if self.csv:
            sinks.append(CsvSink(self.csv, overwrite=force))
        return sinks

    def pictures(self, source: Source, *, force: bool) -> Sink | None:
        """Return the sink of annotated frames, None where they are not kept; a video keeps the source's time."""
        if self._picture:
            if source.frame_count != 1:
                raise InputError(
                    f"--out {self.out} holds one picture, and the source has more frames; "
                    f"name {self._picture.with_suffix('.mp4')} or a directory"
                )
            return PictureSink(self._picture, overwrite=force)
        if self._video:
            pace: Pace = "time" if source.live else "file"
            # weeks of a camera outweigh a frame of another size; of pictures there is a choice
            fit: Fit = "letterbox" if source.live else "refuse"
            return VideoSink(self._video, source.fps, pace=pace, fit=fit, overwrite=force)
        if self._folder:
            return ImageDirSink(self._folder, overwrite=force)
        return None

    def check_folders(self, *, shared_lines: bool) -> None:
        """Raise InputError where an option names a file for several sources; shared_lines: JSON lines may."""
        for flag, path in self._flags.items():
            lines_file = shared_lines and flag == "--save-jsonl"
            if path and not lines_file and _names_a_file(path):
                raise InputError(f"{flag} {path} is one file; for several sources name a directory")

    def of_source(self, name: str, suffix: str) -> "Outputs":
        """Return the files of one of several sources; suffix: of its annotated frames, "" for a directory."""

        def below(folder: Path | None, ending: str) -> Path | None:
            return folder / f"{name}{ending}" if folder else None

        return Outputs(
            out=below(self.out, suffix),
            coco=below(self.coco, ".json"),
            openpose=below(self.openpose, ""),
            csv=below(self.csv, ".csv"),
            jsonl=below(None if self.shared_lines else self.jsonl, ".jsonl"),
        )

    @property
    def shared_lines(self) -> bool:
        """Whether the JSON lines of several sources go to one file or to stdout."""
        return self.jsonl is not None and _names_a_file(self.jsonl)

    def unfinished(self) -> "Outputs":
        """Return those that do not exist."""
        asked = (self.out, self.coco, self.openpose, self.csv, self.jsonl)
        return Outputs(*(None if path is None or path.exists() else path for path in asked))

    @property
    def _flags(self) -> dict[str, Path | None]:
        return {
            "--out": self.out,
            "--save-json": self.coco,
            "--save-openpose": self.openpose,
            "--save-csv": self.csv,
            "--save-jsonl": self.jsonl,
        }

    @property
    def _video(self) -> Path | None:
        return self._out_with(VIDEO_SUFFIXES)

    @property
    def _picture(self) -> Path | None:
        return self._out_with(PICTURE_SUFFIXES)

    @property
    def _folder(self) -> Path | None:
        return None if self._video or self._picture else self.out

    @property
    def _lines(self) -> Path | None:
        """JSON lines as a file, None for stdout and for pipes and devices, which are never replaced."""
        if self.jsonl is None or self.to_stdout:
            return None
        special = self.jsonl.exists() and not (self.jsonl.is_file() or self.jsonl.is_dir())
        return None if special else self.jsonl

    def _out_with(self, suffixes: tuple[str, ...]) -> Path | None:
        return self.out if self.out and self.out.suffix.lower() in suffixes else None


def _names_a_file(path: Path) -> bool:
    return path == STDOUT or (not path.is_dir() and (path.exists() or bool(path.suffix)))
