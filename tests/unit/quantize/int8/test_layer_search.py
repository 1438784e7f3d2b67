"""A search for layers: against networks whose drift is a sum over layers in int8, where the best answer is known."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize.int8.layer_search import RUNS, OutOfTimeError, runs_of, search


class Additive:
    """Drift is the sum of what each layer in int8 adds; counts how often it is asked."""

    def __init__(self, blame: dict[str, float], time: int = 10**6) -> None:
        self.blame, self.time, self.asked = blame, time, 0

    def __call__(self, kept: frozenset[str]) -> float:
        if self.asked == self.time:
            raise OutOfTimeError
        self.asked += 1
        return sum(value for name, value in self.blame.items() if name not in kept)


def named(values: list[float]) -> dict[str, float]:
    return {f"layer{i}": value for i, value in enumerate(values)}


def test_nothing_is_kept_where_nothing_drifts() -> None:
    measure = Additive(named([0.01] * 30))
    found = search(tuple(measure.blame), 1.0, measure)
    assert (found.kept, found.met, found.finished, measure.asked) == ((), True, True, 1)


@pytest.mark.parametrize("guilty", list(itertools.combinations((0, 7, 19, 40, 49), 2)))
def test_the_guilty_are_found_and_nobody_else(guilty) -> None:
    values = [1e-4] * 50
    for place in guilty:
        values[place] = 5.0
    measure = Additive(named(values))
    found = search(tuple(measure.blame), 1.0, measure)
    assert found.kept == tuple(f"layer{place}" for place in guilty)
    assert found.met
    assert found.drift == pytest.approx(48 * 1e-4)
    assert set(found.ranking[0].layers) & {f"layer{place}" for place in guilty}
    assert measure.asked <= 1 + RUNS + 1 + 4 + 2 * 2 * 6


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=40),
    st.floats(0.1, 5),
)
def test_what_is_kept_holds_the_limit_and_none_of_it_is_too_much(values, limit) -> None:
    """Put back into int8, any one of the layers kept breaks the limit."""
    measure = Additive(named(values))
    found = search(tuple(measure.blame), limit, measure)
    assert found.met  # with all in float nothing drifts
    assert found.drift == pytest.approx(measure(frozenset(found.kept)))
    assert found.drift <= limit
    order = list(measure.blame)
    assert list(found.kept) == sorted(found.kept, key=order.index)
    for name in found.kept:
        assert measure(frozenset(found.kept) - {name}) > limit


def test_who_is_to_blame_where_int8_cannot_hold_it() -> None:
    measure = Additive(named([0.1, 9.0, 0.1, 0.1]))

    def stubborn(kept: frozenset[str]) -> float:
        return 2.0 + measure(kept)

    found = search(tuple(measure.blame), 1.0, stubborn)
    assert not found.met
    assert found.finished
    assert found.ranking[0].layers == ("layer1",)


@pytest.mark.parametrize("time", range(12))
def test_out_of_time_the_best_so_far_is_given(time) -> None:
    measure = Additive(named([1.0] * 20), time)
    found = search(tuple(measure.blame), 3.0, measure)
    assert not found.finished
    patient = Additive(measure.blame)
    if time:
        assert found.drift == pytest.approx(patient(frozenset(found.kept)))
    assert found.met == (found.drift <= 3.0)


@given(st.integers(0, 60), st.integers(1, 20))
def test_runs_are_neighbours_and_all_of_them(count, parts) -> None:
    layers = tuple(f"l{i}" for i in range(count))
    runs = runs_of(layers, parts)
    assert tuple(itertools.chain(*runs)) == layers
    assert len(runs) == min(parts, count)
    sizes = {len(run) for run in runs}
    assert not sizes or (max(sizes) - min(sizes) <= 1 and min(sizes) >= 1)
