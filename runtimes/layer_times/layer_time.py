"""Time of one layer, and its median over runs."""

import statistics
from collections.abc import Mapping, Sequence

from runtimes.record import NotNegative, Record


class LayerTime(Record, frozen=True, kw_only=True):
    """One layer as the engine runs it, which may be several of the network's: median milliseconds of a run.

    kind: the engine's type of operation; kernel: the code that it chose, "" where it does not say.
    """

    name: str
    kind: str
    kernel: str = ""
    ms: NotNegative


def median_times(
    runs_ms: Mapping[tuple[str, str, str], Sequence[float]],
) -> tuple[LayerTime, ...]:
    """Return the layers in order, from all times of each (name, kind, kernel); what takes none is left out."""
    return tuple(
        LayerTime(name=name, kind=kind, kernel=kernel, ms=statistics.median(times))
        for (name, kind, kernel), times in runs_ms.items()
        if any(times)
    )
