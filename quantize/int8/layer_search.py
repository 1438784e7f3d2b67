"""Which layers must stay in float: ranked by what leaving them there does for decoded results, then as few as will do.

Knows neither engines nor images: `measure` makes an int8 artifact with the named layers left in float and says how far
its results drift. That is dear, so layers are tried by runs of neighbours first: each run alone, then the best of them
together (by halving, for more layers in float drift less), then what was taken too much is given back, half by half.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

RUNS = 12  # of neighbouring layers, tried one by one

Measure = Callable[[frozenset[str]], float]
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring layers, and the drift that is left where they alone stay in float."""

    layers: Names
    drift: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to.

    kept: layers to leave in float, in the graph's order. drift: with these, in the limit's unit; `plain` with none.
    ranking: runs of layers by what they are to blame for, the worst first. met: whether the limit is kept. finished:
    False where time ran out first, and `kept` may be more than it takes.
    """

    kept: Names
    drift: float
    plain: float
    limit: float
    ranking: tuple[Run, ...]
    met: bool
    finished: bool


class OutOfTimeError(Exception):
    """Raised by `measure` where no time is left for another trial."""


@dataclass
class _Search:
    """The best so far: the smallest set of layers within the limit, else the one that drifts least."""

    layers: Names
    limit: float
    measure: Measure
    kept: frozenset[str] = frozenset()
    drift: float = float("inf")
    ranking: list[Run] = field(default_factory=list)

    def within(self, kept: frozenset[str]) -> bool:
        """Try a set of layers, and keep it where it is better."""
        drift = self.measure(kept)
        inside, was_inside = drift <= self.limit, self.drift <= self.limit
        fewer = len(kept) < len(self.kept)
        if (inside and (fewer or not was_inside)) or (not was_inside and drift < self.drift):
            self.kept, self.drift = kept, drift
        return inside


def search(layers: Sequence[str], limit: float, measure: Measure) -> Found:
    """Return the fewest layers that were found to hold the drift at `limit`, or who is to blame where none do.

    layers: in the order of the graph. Raises whatever `measure` raises but OutOfTimeError, which ends the search with
    the best so far.
    """
    state = _Search(tuple(layers), limit, measure)
    plain = float("inf")
    try:
        plain = measure(frozenset())
        state.drift = plain
        if plain > limit:
            _narrow(state)
        finished = True
    except OutOfTimeError:
        finished = False
    kept = tuple(name for name in state.layers if name in state.kept)
    ranking = tuple(sorted(state.ranking, key=lambda run: run.drift))
    met = state.drift <= limit
    return Found(kept, state.drift, plain, limit, ranking, met, finished)


def _narrow(state: _Search) -> None:
    for run in runs_of(state.layers, RUNS):
        drift = state.measure(frozenset(run))
        state.ranking.append(Run(run, drift))
        if drift < state.drift:
            state.kept, state.drift = frozenset(run), drift
    ranked = sorted(state.ranking, key=lambda run: run.drift)
    if not state.within(frozenset(state.layers)):
        return  # all in float and still over: the limit is not int8's to keep
    low, high = 1, len(ranked)
    while low < high:
        middle = (low + high) // 2
        if state.within(_joined(ranked[:middle])):
            high = middle
        else:
            low = middle + 1
    # `high` runs do; what each of them can give back, the least to blame first
    for given in reversed(ranked[:high]):
        _give_back(state, given.layers)


def _give_back(state: _Search, part: Names) -> None:
    """Put a part back into int8 where that is within the limit, else its halves."""
    if not set(part) <= state.kept or state.within(state.kept - set(part)):
        return
    if len(part) > 1:
        half = len(part) // 2
        _give_back(state, part[:half])
        _give_back(state, part[half:])


def runs_of(layers: Names, count: int) -> list[Names]:
    """Cut layers into at most `count` runs of neighbours, as equal as can be, none empty."""
    count = min(count, len(layers))
    edges = [len(layers) * part // count for part in range(count + 1)] if count else []
    return [layers[start:end] for start, end in itertools.pairwise(edges)]


def _joined(runs: Sequence[Run]) -> frozenset[str]:
    return frozenset(name for run in runs for name in run.layers)
