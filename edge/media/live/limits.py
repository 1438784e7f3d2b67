"""Patience with live sources: how long a frame may take, and how a lost one is opened again."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.types.options import check_scale
from runtimes.errors import InputError

_ROUNDING_S = 1e-9  # of the sum of the waits: what is left then is no time


@dataclass(frozen=True, slots=True)
class LiveLimits:
    """Limits of a live source, in seconds.

    timeout_s: without a frame for so long the source is lost. first_retry_s: until it is opened again; the time doubles
    with each failure, up to most_retry_s. give_up_s: a source that is lost for so long ends with an error, after a last
    attempt; infinity never does, and 0 does at once. Raises InputError for a time that is not above 0, or a negative
    give_up_s.
    """

    timeout_s: float = 10.0
    first_retry_s: float = 0.5
    most_retry_s: float = 30.0
    give_up_s: float = float("inf")

    def __post_init__(self) -> None:
        for name in ("timeout_s", "first_retry_s", "most_retry_s"):
            check_scale(name, getattr(self, name))
        if not self.give_up_s >= 0:
            raise InputError(f"give_up_s must be at least 0, not {self.give_up_s!r}")

    def retries_s(self, lost_s: Callable[[], float]) -> Iterator[float]:
        """Yield the seconds to wait before each attempt; the last attempt is made after `give_up_s`, not later.

        lost_s: returns the seconds since the source was lost. An attempt itself takes up to `timeout_s`.
        """
        for attempt in itertools.count():
            left_s = self.give_up_s - lost_s()
            if left_s <= _ROUNDING_S:
                return
            yield min(self._wait_s(attempt), left_s)

    def _wait_s(self, attempt: int) -> float:
        # the exponent has a limit, since 2.0**1024 is too large for a float
        return min(self.first_retry_s * 2.0 ** min(attempt, 64), self.most_retry_s)
