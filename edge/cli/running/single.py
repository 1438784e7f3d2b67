"""One source, whose results go where the options say."""

from contextlib import ExitStack

from edge.cli.console import progress, say
from edge.cli.recording import Recording, record, report_run
from edge.cli.running.setup import Setup
from edge.cli.serve import preview_of
from edge.cli.signals import closing_live, sigterm_exits, stop_asked
from edge.media.paths import without_login
from edge.types import counted


def run_one(setup: Setup, source: str, *, show: bool) -> int:
    """Run until the frames end, the window is closed, Ctrl-C or SIGTERM; returns the exit code."""
    shown = without_login(source)
    with ExitStack() as stack:
        # after the models, since a camera's frames do not wait for them to load
        with sigterm_exits():
            frames = stack.enter_context(setup.open(source))
        # entered before the sinks, so that a second Ctrl-C cannot hit them while they are closed
        stop = stack.enter_context(stop_asked())
        stack.enter_context(closing_live(stop, [frames]))
        recording = Recording(
            sinks=setup.outputs.results(shown, force=setup.force),
            pictures=setup.outputs.pictures(frames, force=setup.force),
            show=show,
            threshold=setup.threshold,
            note=setup.note,
            advance=stack.enter_context(progress(shown, frames.frame_count)),
            preview=preview_of(setup.preview, shown, frames.losses),
        )
        broken = record(setup.pipeline, frames, recording, stop)
    report_run(recording, setup.pipeline, frames.losses, setup.emit)
    if broken:
        raise broken
    if not stop.is_set():
        return 0
    frames_done = counted(recording.tally.frames, "frame")
    say(f"edgepose: interrupted after {frames_done}; what was written is kept")
    return stop.exit_code
