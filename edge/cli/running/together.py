"""Several sources at the same time through one engine, each with its own people and files."""

import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import cast

from edge.cli.checks import require_writable
from edge.cli.console import silence_stdout
from edge.cli.outputs import Outputs
from edge.cli.recording import Recording
from edge.cli.running.names import NamedSource
from edge.cli.running.setup import (
    Setup,
    SourceReport,
    Status,
    check_spares,
    make_folders,
    report_of,
    targets_of,
)
from edge.cli.signals import closing_live, sigterm_exits, stop_asked
from edge.media.paths import without_login
from edge.media.sinks import JsonLinesSink, JsonLinesStream, SinkGroup
from edge.media.source import Source
from edge.pipeline import Result
from edge.types import Frame
from runtimes.errors import EdgeposeError, InputError, SourceError

# Each file has a decoder and a thread of its own.
_MOST_AT_ONCE = 32


class SourceRun:
    """One of several sources while it runs; its files are closed once, at its own end or at that of all."""

    def __init__(self, source: NamedSource, frames: Source, recording: Recording) -> None:
        self.source = source
        self.recording = recording
        self.report: SourceReport | None = None
        self.frames = replace(frames, _frames=self._until_reported(iter(frames)))
        self._group = SinkGroup(recording.all_sinks)

    def __enter__(self) -> "SourceRun":
        self._group.__enter__()
        return self

    def add(self, result: Result) -> None:
        """Count and write one frame; a file that cannot be written ends this source alone."""
        if self.report:
            return
        try:
            self.recording.add(result)
        except InputError as error:
            self.finish(error)
            if self.frames.live:
                self.frames.close()

    def finish(self, error: EdgeposeError | None = None, status: Status = "done") -> None:
        """Close the files, which are kept, and print what became of the source; once.

        status: where there is no error.
        """
        if self.report:
            return
        if self.recording.preview:
            self.recording.preview.end()
        try:
            self._group.__exit__(None)
        except EdgeposeError as problem:
            error = error or problem
        self.report = report_of(self.source, self.recording, self.frames, error, status)
        self.report.show()

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if self.report is None:
            self._group.__exit__(kind)

    def _until_reported(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames until the source is done with, which the thread that reads them sees here."""
        for frame in frames:
            if self.report:
                return
            yield frame


def check_together(outputs: Outputs, sources: Sequence[NamedSource], *, force: bool) -> None:
    """Raise InputError for an unusable target of any source, TargetExistsError for one that may not be replaced."""
    if len(sources) > _MOST_AT_ONCE:
        raise InputError(
            f"{len(sources)} sources at the same time are more than {_MOST_AT_ONCE}; "
            "add --shard 1/1 to run video files one after another"
        )
    outputs.check_folders(shared_lines=True)
    if outputs.shared_lines:
        for each in sources:
            check_spares(Outputs(None, None, None, None, outputs.jsonl), each.source)
    outputs.check_lines(force=force)
    for each in sources:
        targets = targets_of(outputs, each)
        targets.check(force=force)
        for path in targets.given:
            require_writable(path.parent, "name another directory")


def run_together(setup: Setup, sources: Sequence[NamedSource]) -> tuple[list[SourceReport], int]:
    """Run all sources until each has ended, and return their reports, and the exit code, 0 unless a signal came.

    One that fails stops no other. Raises SourceError where none can be opened.
    """
    with ExitStack() as stack:
        with sigterm_exits():
            opened, reports = _open_all(setup, sources, stack)
        # entered before the sinks, so that a second Ctrl-C cannot hit them while they are closed
        stop = stack.enter_context(stop_asked())
        lines = _shared_lines(setup, stack)
        runs = [
            stack.enter_context(_source_run(setup, each, frames, lines)) for each, frames in opened
        ]
        stack.enter_context(closing_live(stop, [frames for _, frames in opened]))
        try:
            _run_all(setup, runs, stop)
        except BrokenPipeError:  # as of `| head -1`
            silence_stdout()
        for run in runs:
            run.finish(status="interrupted")
    reports |= {run.source.name: run.report for run in runs if run.report}
    return [reports[each.name] for each in sources], stop.exit_code


def _open_all(
    setup: Setup, sources: Sequence[NamedSource], stack: ExitStack
) -> tuple[list[tuple[NamedSource, Source]], dict[str, SourceReport]]:
    """Return the sources that can be opened, and reports of the others; raises SourceError where none can."""
    opened, reports, problems = [], {}, []
    for each in sources:
        try:
            opened.append((each, stack.enter_context(setup.open(each.source))))
        except SourceError as error:  # noqa: PERF203 opening takes longer
            problems.append(error)
            reports[each.name] = SourceReport(each, "failed", error=str(error))
    if not opened:
        raise problems[0]
    for report in reports.values():
        report.show()
    return opened, reports


def _run_all(setup: Setup, runs: Sequence[SourceRun], stop: threading.Event) -> None:
    """Run until all sources have ended, or a signal asks for the end."""
    named = {run.source.name: run for run in runs}

    def end(name: int | str, error: Exception | None) -> None:
        if error is not None and not isinstance(error, EdgeposeError):
            raise error
        named[str(name)].finish(error, "interrupted" if stop.is_set() else "done")

    frames = {name: run.frames for name, run in named.items()}
    results = setup.pipeline.stream_many(frames, on_end=end)
    with closing(cast("Generator[Result]", results)):
        for result in results:
            named[str(result.source)].add(result)
            if stop.is_set():
                return


def _source_run(
    setup: Setup,
    source: NamedSource,
    frames: Source,
    lines: "JsonLinesSink | JsonLinesStream | None",
) -> SourceRun:
    targets = targets_of(setup.outputs, source)
    make_folders(targets)
    recording = setup.recording(targets, source, frames, part=False)
    if lines:
        recording.sinks.insert(0, lines.of_source(without_login(source.source)))
    return SourceRun(source, frames, recording)


def _shared_lines(setup: Setup, stack: ExitStack) -> "JsonLinesSink | JsonLinesStream | None":
    """Open the JSON lines of all sources, None where each has its own or there are none."""
    if setup.outputs.jsonl is None or not setup.outputs.shared_lines:
        return None
    if setup.outputs.to_stdout:
        return JsonLinesStream(sys.stdout)
    lines = JsonLinesSink(setup.outputs.jsonl, overwrite=setup.force)
    stack.enter_context(lines)
    return lines
