"""A scripted session without engine or files, for tests of code that runs on a Session, ours or yours."""

from collections.abc import Callable, Iterable

from runtimes.base import Effective, Feeds, Outputs
from runtimes.errors import EngineError

Script = Callable[[Feeds], Outputs] | Iterable[Outputs]


class FakeSession:
    """A Session that answers from a script: a function of the feeds, or one outputs dict a call.

    `feeds` records the feeds of each call (copies). Raises EngineError when the script is over, or after `close`.
    """

    def __init__(self, script: Script, effective: Effective | None = None) -> None:
        self.feeds: list[Outputs] = []
        self._answer = script if callable(script) else None
        self._script = iter(()) if callable(script) else iter(script)
        self._effective = effective or Effective(1, "f32", "cpu")
        self._open = True

    @property
    def effective(self) -> Effective:
        """The value given to the constructor."""
        return self._effective

    def run(self, feeds: Feeds) -> Outputs:
        """Record the feeds and return the script's next outputs, copied."""
        if not self._open:
            raise EngineError("this fake session is closed; make another")
        self.feeds.append({name: array.copy() for name, array in feeds.items()})
        outputs = next(self._script, None) if self._answer is None else self._answer(feeds)
        if outputs is None:
            raise EngineError(
                f"the script ends before call {len(self.feeds)}; give it more outputs"
            )
        return {name: array.copy() for name, array in outputs.items()}

    def close(self) -> None:
        """Refuse further calls."""
        self._open = False
