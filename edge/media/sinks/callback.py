"""Results as calls of a function."""

from collections.abc import Callable, Sequence

from edge.media.sinks.sink import Sink
from edge.types import Frame, Poses


class CallbackSink(Sink):
    """Calls `function(frame, poses, states)` for each frame, in order; its exceptions pass through `write`."""

    def __init__(self, function: Callable[[Frame, Poses, Sequence[str]], object]) -> None:
        self._function = function

    def write(self, frame: Frame, poses: Poses, states: Sequence[str] = ()) -> None:
        """Call the function."""
        self._function(frame, poses, states)
