"""Optimal assignment with a limit on costs, by shortest augmenting paths (Jonker and Volgenant, 1987)."""

import numpy as np

from edge.types import F64, Floats, Indices


def assign(costs: Floats, limit: float) -> tuple[Indices, Indices]:
    """Return rows and columns of the pairs with the greatest sum of `limit` - cost; rows come in order.

    costs: (N, M); those above the limit, infinite or NaN are no pairs.
    """
    rows = np.flatnonzero((costs <= limit).any(axis=1))
    columns = np.flatnonzero((costs <= limit).any(axis=0))
    if not len(rows):
        return rows, columns
    part = np.asarray(costs, np.float64)[np.ix_(rows, columns)]
    allowed = part <= limit
    part = np.where(allowed, part, limit)
    chosen = _solve(part) if len(rows) <= len(columns) else _inverted(_solve(part.T), len(rows))
    found = np.flatnonzero(chosen >= 0)
    found = found[allowed[found, chosen[found]]]
    return rows[found], columns[chosen[found]]


def _inverted(chosen: Indices, count: int) -> Indices:
    """Return the row of each of `count` columns, -1 for none."""
    rows = np.full(count, -1, np.intp)
    rows[chosen] = np.arange(len(chosen))
    return rows


def _solve(costs: F64) -> Indices:
    """Return the column of each row, all different; costs (N, M), N <= M."""
    best: Indices = costs.argmin(axis=1)
    if len(np.unique(best)) == len(best):  # the usual case: each row's best is its own
        return best
    count, width = costs.shape
    row_of = np.full(width, -1, np.intp)
    column_of = np.full(count, -1, np.intp)
    row_price, column_price = np.zeros(count), np.zeros(width)
    for row in range(count):
        _augment(costs, row, row_of, column_of, row_price, column_price)
    return column_of


def _augment(
    costs: F64,
    start: int,
    row_of: Indices,
    column_of: Indices,
    row_price: F64,
    column_price: F64,
) -> None:
    """Give row `start` a column along the path of least reduced cost (Dijkstra's), and adjust the prices, in place."""
    least = np.full(len(row_of), np.inf)
    before = np.full(len(row_of), -1, np.intp)
    visited = np.zeros(len(row_of), np.bool_)
    row, distance = start, 0.0
    while True:
        reach = distance + costs[row] - row_price[row] - column_price
        closer = ~visited & (reach < least)
        least[closer] = reach[closer]
        before[closer] = row
        column = int(np.where(visited, np.inf, least).argmin())
        distance = float(least[column])
        visited[column] = True
        if row_of[column] < 0:
            break
        row = int(row_of[column])
    ends = visited.copy()
    ends[column] = False
    row_price[start] += distance
    row_price[row_of[ends]] += distance - least[ends]
    column_price[ends] -= distance - least[ends]
    while True:  # exchange partners back along the path
        row = int(before[column])
        row_of[column] = row
        column_of[row], column = column, int(column_of[row])
        if row == start:
            return
