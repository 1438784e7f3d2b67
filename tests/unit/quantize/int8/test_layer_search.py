"""Layer search against networks whose drift is a sum over layers in int8, where the best answer is known."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantize.int8.layer_search import GROUPS, OutOfTimeError, search_layers, split_groups


class Additive:
    """Drift is the sum of the layers' own; counts the calls."""

    def __init__(self, drifts: dict[str, float], calls: int = 10**6) -> None:
        self.drifts, self.left, self.asked = drifts, calls, 0

    def __call__(self, kept: frozenset[str]) -> float:
        if self.asked == self.left:
            raise OutOfTimeError
        self.asked += 1
        return sum(value for name, value in self.drifts.items() if name not in kept)


def named(values: list[float]) -> dict[str, float]:
    return {f"layer{i}": value for i, value in enumerate(values)}


def test_nothing_is_kept_where_nothing_drifts() -> None:
    drift_of = Additive(named([0.01] * 30))
    found = search_layers(tuple(drift_of.drifts), 1.0, drift_of)
    assert (found.kept, found.met, found.finished, drift_of.asked) == ((), True, True, 1)


@pytest.mark.parametrize("sensitive", list(itertools.combinations((0, 7, 19, 40, 49), 2)))
def test_the_sensitive_layers_are_found_and_no_others(sensitive) -> None:
    values = [1e-4] * 50
    for place in sensitive:
        values[place] = 5.0
    drift_of = Additive(named(values))
    found = search_layers(tuple(drift_of.drifts), 1.0, drift_of)
    assert found.kept == tuple(f"layer{place}" for place in sensitive)
    assert found.met
    assert found.drift == pytest.approx(48 * 1e-4)
    assert set(found.ranking[0].layers) & {f"layer{place}" for place in sensitive}
    assert drift_of.asked <= 1 + GROUPS + 1 + 4 + 2 * 2 * 6


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=40),
    st.floats(0.1, 5),
)
def test_the_kept_layers_hold_the_limit_and_each_is_needed(values, limit) -> None:
    """Put back into int8, any one of the layers kept breaks the limit."""
    drift_of = Additive(named(values))
    found = search_layers(tuple(drift_of.drifts), limit, drift_of)
    assert found.met  # with all in float nothing drifts
    assert found.drift == pytest.approx(drift_of(frozenset(found.kept)))
    assert found.drift <= limit
    order = list(drift_of.drifts)
    assert list(found.kept) == sorted(found.kept, key=order.index)
    for name in found.kept:
        assert drift_of(frozenset(found.kept) - {name}) > limit


def test_the_ranking_names_the_most_sensitive_where_int8_cannot_hold_the_limit() -> None:
    drift_of = Additive(named([0.1, 9.0, 0.1, 0.1]))

    def stubborn(kept: frozenset[str]) -> float:
        return 2.0 + drift_of(kept)

    found = search_layers(tuple(drift_of.drifts), 1.0, stubborn)
    assert not found.met
    assert found.finished
    assert found.ranking[0].layers == ("layer1",)


@pytest.mark.parametrize("calls", range(12))
def test_out_of_time_gives_the_best_so_far(calls) -> None:
    drift_of = Additive(named([1.0] * 20), calls)
    found = search_layers(tuple(drift_of.drifts), 3.0, drift_of)
    assert not found.finished
    patient = Additive(drift_of.drifts)
    if calls:
        assert found.drift == pytest.approx(patient(frozenset(found.kept)))
    assert found.met == (found.drift <= 3.0)


@given(st.integers(0, 60), st.integers(1, 20))
def test_groups_are_neighbours_and_all_of_them(count, parts) -> None:
    layers = tuple(f"l{i}" for i in range(count))
    groups = split_groups(layers, parts)
    assert tuple(itertools.chain(*groups)) == layers
    assert len(groups) == min(parts, count)
    sizes = {len(group) for group in groups}
    assert not sizes or (max(sizes) - min(sizes) <= 1 and min(sizes) >= 1)
