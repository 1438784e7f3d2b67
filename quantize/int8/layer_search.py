"""Sensitivity search: the fewest layers that must stay in float for the drift of decoded results to hold a limit.

Knows neither engines nor images: `drift_of` quantizes with the named layers in float and returns how far results drift.
That is expensive, so layers are first tried in groups of neighbours: each group alone, then the most sensitive groups
together (bisection, since more layers in float drift less), then every group is put back into int8, by halves, as far
as the limit allows.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

GROUPS = 12  # of neighbouring layers, each tried alone

DriftFunction = Callable[[frozenset[str]], float]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Neighbouring layers, and the drift with these alone in float: the lower, the more sensitive they are."""

    layers: Names
    drift: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Outcome of a search.

    kept: layers to keep in float, in graph order. drift: with these, in the unit of the limit; `initial_drift`: with
    none. ranking: groups of layers, the most sensitive first. met: whether the drift is within the limit. finished:
    False where time ran out first; `kept` may then hold more layers than it must.
    """

    kept: Names
    drift: float
    initial_drift: float
    limit: float
    ranking: tuple[LayerGroup, ...]
    met: bool
    finished: bool


class OutOfTimeError(Exception):
    """Raised by `drift_of` where no time is left for another trial."""


@dataclass
class _Best:
    """The best set so far: the smallest within the limit, else the one that drifts least."""

    layers: Names
    limit: float
    drift_of: DriftFunction
    kept: frozenset[str] = frozenset()
    drift: float = float("inf")
    ranking: list[LayerGroup] = field(default_factory=list)

    def within(self, kept: frozenset[str]) -> bool:
        """Try a set of layers, keep it where it is better, and return whether it holds the limit."""
        drift = self.drift_of(kept)
        inside, was_inside = drift <= self.limit, self.drift <= self.limit
        fewer = len(kept) < len(self.kept)
        if (inside and (fewer or not was_inside)) or (not was_inside and drift < self.drift):
            self.kept, self.drift = kept, drift
        return inside


def search_layers(layers: Sequence[str], limit: float, drift_of: DriftFunction) -> SearchResult:
    """Return the fewest layers found that hold the drift at `limit`; where none do, the ranking names the worst.

    layers: in graph order. Raises whatever `drift_of` raises but OutOfTimeError, which ends the search with the best
    set so far.
    """
    best = _Best(tuple(layers), limit, drift_of)
    initial = float("inf")
    try:
        initial = drift_of(frozenset())
        best.drift = initial
        if initial > limit:
            _narrow(best)
        finished = True
    except OutOfTimeError:
        finished = False
    kept = tuple(name for name in best.layers if name in best.kept)
    ranking = tuple(sorted(best.ranking, key=lambda group: group.drift))
    return SearchResult(kept, best.drift, initial, limit, ranking, best.drift <= limit, finished)


def _narrow(best: _Best) -> None:
    for names in split_groups(best.layers, GROUPS):
        drift = best.drift_of(frozenset(names))
        best.ranking.append(LayerGroup(names, drift))
        if drift < best.drift:
            best.kept, best.drift = frozenset(names), drift
    ranked = sorted(best.ranking, key=lambda group: group.drift)
    if not best.within(frozenset(best.layers)):
        return  # over the limit with every layer in float: int8 is not the cause
    low, high = 1, len(ranked)
    while low < high:
        middle = (low + high) // 2
        if best.within(_joined(ranked[:middle])):
            high = middle
        else:
            low = middle + 1
    # the first `high` groups hold the limit; put back what they need not keep, the least sensitive first
    for group in reversed(ranked[:high]):
        _put_back(best, group.layers)


def _put_back(best: _Best, part: Names) -> None:
    """Return a part to int8 where that holds the limit, else try its halves."""
    if not set(part) <= best.kept or best.within(best.kept - set(part)):
        return
    if len(part) > 1:
        half = len(part) // 2
        _put_back(best, part[:half])
        _put_back(best, part[half:])


def split_groups(layers: Names, count: int) -> list[Names]:
    """Split layers into at most `count` groups of neighbours, of equal size to within one, none empty."""
    count = min(count, len(layers))
    edges = [len(layers) * part // count for part in range(count + 1)] if count else []
    return [layers[start:end] for start, end in itertools.pairwise(edges)]


def _joined(groups: Sequence[LayerGroup]) -> frozenset[str]:
    return frozenset(name for group in groups for name in group.layers)
