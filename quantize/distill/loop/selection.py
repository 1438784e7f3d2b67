"""Selection of weights by validation: the best result so far, and when to stop waiting for a better one."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

# Columns of the metrics log, the decisive one first; a task has some of them.
RANKED_BY = ("ap", "pck", "ap50")
Row = Mapping[str, str]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a metrics log, oldest first; none where there is no log yet."""
    if not path.exists():
        return []
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def best_row(rows: Sequence[Row]) -> int:
    """Return the index of the best row, of equal ones the first; AP decides, then PCK (or AP50). -1 without rows."""
    return max(range(len(rows)), key=lambda index: (_rank(rows[index]), -index), default=-1)


def validations_since_best(rows: Sequence[Row]) -> int:
    """Return the number of validations since the best one."""
    return len(rows) - 1 - best_row(rows) if rows else 0


def _rank(row: Row) -> tuple[float, ...]:
    """Return a row's metrics in order of importance; an undefined one is below all numbers."""
    return tuple(float(row[name] or -1) for name in RANKED_BY if name in row)
