"""Assignment: the least sum as scipy finds it, with a limit, rectangular, and with impossible pairs."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.pipeline.tracking.assignment import assign

# the reference; no board has it
linear_sum_assignment = pytest.importorskip("scipy.optimize").linear_sum_assignment

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
# few different values: ties are the hard case
COSTS = SHAPES.flatmap(
    lambda shape: arrays(
        np.float64, shape, elements=st.integers(0, 12).map(lambda tenth: tenth / 10)
    )
)


def total(costs: np.ndarray, rows: np.ndarray, columns: np.ndarray, limit: float) -> float:
    return costs[rows, columns].sum() + limit * (min(costs.shape) - len(rows))


@given(COSTS)
def test_the_sum_is_scipys(costs: np.ndarray) -> None:
    limit = 0.75
    rows, columns = assign(costs, limit)
    limited = np.minimum(costs, limit)
    expected = limited[linear_sum_assignment(limited)].sum()
    assert total(costs, rows, columns, limit) == pytest.approx(expected, abs=1e-9)
    assert len(set(rows)) == len(rows) == len(set(columns))
    assert (costs[rows, columns] <= limit).all()
    assert (np.diff(rows) > 0).all()


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 1)))
def test_no_permutation_is_better(costs: np.ndarray) -> None:
    rows, columns = assign(costs, 1.0)
    best = min(costs[range(3), chosen].sum() for chosen in itertools.permutations(range(4), 3))
    assert total(costs, rows, columns, 1.0) == pytest.approx(best, abs=1e-9)


def test_sixty_people_get_what_scipy_gives_them() -> None:
    costs = np.random.default_rng(0).random((60, 55))
    rows, columns = assign(costs, 2.0)
    assert costs[rows, columns].sum() == pytest.approx(costs[linear_sum_assignment(costs)].sum())


def test_impossible_pairs_are_left_out() -> None:
    costs = np.array([[np.inf, 0.2], [np.nan, 0.1], [np.inf, np.inf]])
    rows, columns = assign(costs, 0.5)
    assert (rows.tolist(), columns.tolist()) == ([1], [1])


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 2)])
def test_nothing_to_assign(shape: tuple[int, int]) -> None:
    rows, columns = assign(np.ones(shape), 0.5)
    assert len(rows) == len(columns) == 0
