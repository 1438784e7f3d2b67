"""Several sinks as one."""

from collections.abc import Sequence
from contextlib import ExitStack

from edge.media.sinks.sink import Sink
from edge.types import Frame, Poses
from runtimes.errors import OutputError


class SinkGroup(Sink):
    """Sinks that get the same frames. One that cannot be completed takes no other with it: all others are kept.

    Raises, when the block ends, the first OutputError of a sink.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self.sinks = tuple(sinks)

    def __enter__(self) -> "SinkGroup":
        with ExitStack() as opened:
            for sink in self.sinks:
                opened.enter_context(sink)
            opened.pop_all()
        return self

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Add one frame's result to each."""
        for sink in self.sinks:
            sink.write(frame, poses, states)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        problems = []
        for sink in self.sinks:
            try:
                sink.__exit__(kind, *error)
            except OutputError as problem:  # noqa: PERF203 each is closed
                problems.append(problem)
        if problems and kind is None:
            raise problems[0]
