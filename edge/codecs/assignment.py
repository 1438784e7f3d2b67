"""Assignment of rows to columns at the least total cost (Hungarian algorithm), for a handful of people."""

import numpy as np

from edge.types import F64, Indices


def assign(costs: F64) -> Indices:
    """Return the column of each row of finite costs (N, M), -1 where there are fewer columns than rows.

    The total cost is the least that any assignment of min(N, M) pairs has. Shortest augmenting paths, O(N^2 M).
    """
    rows, columns = costs.shape
    if rows > columns:
        found = np.full(rows, -1, np.intp)
        for column, row in enumerate(assign(costs.T)):
            found[row] = column
        return found
    # 1-based, column 0 is where a new row starts from
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner = np.zeros(columns + 1, np.intp)
    for row in range(1, rows + 1):
        owner[0] = row
        _augment(costs, owner, row_price, column_price)
    taken = np.flatnonzero(owner[1:])
    result = np.zeros(rows, np.intp)
    result[owner[taken + 1] - 1] = taken
    return result


def _augment(costs: F64, owner: Indices, row_price: F64, column_price: F64) -> None:
    """Give the row that owns column 0 a column of its own, along the cheapest path of exchanges; all in place."""
    slack = np.full(len(owner), np.inf)
    came_from = np.zeros(len(owner), np.intp)
    seen = np.zeros(len(owner), np.bool_)
    column = 0
    while owner[column]:
        seen[column] = True
        row = owner[column]
        reduced = costs[row - 1] - row_price[row] - column_price[1:]
        nearer = np.flatnonzero(~seen[1:] & (reduced < slack[1:])) + 1
        slack[nearer], came_from[nearer] = reduced[nearer - 1], column
        column = int(np.where(seen, np.inf, slack)[1:].argmin()) + 1
        step = slack[column]
        row_price[owner[seen]] += step
        column_price[seen] -= step
        slack[~seen] -= step
    while column:
        owner[column] = owner[came_from[column]]
        column = int(came_from[column])
