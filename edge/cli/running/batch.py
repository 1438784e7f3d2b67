"""Video files one after another through one engine: complete results mark a finished file, and are never repeated."""

import threading
from collections.abc import Sequence

from edge.cli.checks import require_writable
from edge.cli.console import say
from edge.cli.outputs import Outputs
from edge.cli.running.names import NamedSource
from edge.cli.running.setup import Setup, SourceReport, make_folders, report_of, targets_of
from edge.cli.signals import stop_asked
from edge.media.sinks import SinkGroup
from edge.types import counted
from runtimes.errors import EdgeposeError, InputError, OutputError


class _InterruptedError(EdgeposeError):
    """Ctrl-C or SIGTERM in the middle of a file, whose results are not kept."""


def check_batch(outputs: Outputs, sources: Sequence[NamedSource], *, force: bool) -> None:
    """Raise InputError for options that name no directories, or for directories that cannot be written."""
    if not outputs.given:
        raise InputError(
            "a folder of videos and --shard keep their results in files; add --save-jsonl DIR or --out DIR"
        )
    outputs.check_folders(shared_lines=False)
    for folder in set(outputs.given):
        require_writable(folder, "name another directory")
    for each in sources:
        targets = targets_of(outputs, each)
        (targets if force else targets.unfinished()).check(force=force)


def run_batch(setup: Setup, sources: Sequence[NamedSource]) -> tuple[list[SourceReport], int]:
    """Run the files that have no complete results, and return their reports, and the exit code, 0 unless a signal came.

    A file that cannot be read stops no other. Raises OutputError for a full disk: what was finished stays.
    """
    todo = [each for each in sources if _missing(setup, each).given]
    reports = {each.name: SourceReport(each, "skipped") for each in sources}
    reports |= {each.name: SourceReport(each, "interrupted") for each in todo}
    if len(todo) < len(sources):
        finished = counted(len(sources) - len(todo), "source")
        say(f"{finished} of {len(sources)} finished before; --force repeats what is finished")
    with stop_asked() as stop:
        for each in todo:
            if stop.is_set():
                break
            reports[each.name] = _report(setup, each, stop)
            reports[each.name].show()
    return [reports[each.name] for each in sources], stop.exit_code


def _report(setup: Setup, source: NamedSource, stop: threading.Event) -> SourceReport:
    """Run one file and return what became of it; raises OutputError."""
    try:
        return _run(setup, source, stop)
    except OutputError:
        raise
    except InputError as error:  # of this file: unreadable, or its frames change size
        return SourceReport(source, "failed", error=str(error))
    except _InterruptedError:
        return SourceReport(source, "interrupted")


def _missing(setup: Setup, source: NamedSource) -> Outputs:
    targets = targets_of(setup.outputs, source)
    return targets if setup.force else targets.unfinished()


def _run(setup: Setup, source: NamedSource, stop: threading.Event) -> SourceReport:
    """Run one file from its start, and put its results in place at its end."""
    targets = _missing(setup, source)
    make_folders(targets)
    setup.pipeline.reset()
    with setup.open(source.source) as frames:
        recording = setup.recording(targets, source, frames, part=True)
        with SinkGroup(recording.all_sinks):
            for result in setup.pipeline.stream(frames):
                recording.add(result)
                if stop.is_set():
                    raise _InterruptedError
        return report_of(source, recording, frames, None)
