"""Warnings of what repeats for weeks: the first time, the 10th, the 100th, ..."""

from runtimes.errors import warn


class RareWarnings:
    """Warnings of one kind."""

    def __init__(self) -> None:
        self._next = 1

    def warn(self, count: int, message: str) -> None:
        """Warn, if `count`, how often it has happened so far, has reached the next power of ten."""
        if count >= self._next:
            self._next = 10 ** len(str(count))
            warn(message)
