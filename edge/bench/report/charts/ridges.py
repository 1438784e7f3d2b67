"""Distributions of times, one strip a row: a histogram on a scale of its own, and the runs above its end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edge.bench.report.charts.axis import CHAR, GROUPS, WIDTH, fitted, svg, text

STRIP, HIGH, GAP, TOP, LEAST_LEFT = 50, 30, 8, 6, 60


@dataclass(frozen=True, slots=True)
class Ridge:
    """Bins of one row from `low_ms`, `width_ms` wide; the last of `counts` is beyond; marks: names and times."""

    counts: tuple[int, ...]
    low_ms: float
    width_ms: float
    marks: tuple[tuple[str, float], ...]
    group: int
    name: str


def ridges(rows: Sequence[Ridge]) -> str:
    """Return an <svg> of the strips, or "" for none."""
    if not rows:
        return ""
    left = min(max(LEAST_LEFT, max(len(row.name) for row in rows) * CHAR) + 2 * GAP, WIDTH / 2)
    body = [
        line for number, row in enumerate(rows) for line in _strip(row, left, TOP + STRIP * number)
    ]
    return svg(TOP + STRIP * len(rows), "distribution of times", body)


def _strip(row: Ridge, left: float, top: float) -> Iterator[str]:
    *counts, beyond = row.counts
    floor = top + HIGH
    right = WIDTH - 110.0
    wide = (right - left) / len(counts)
    tallest = max(*counts, 1)
    yield text(left - GAP, floor - 2, fitted(row.name, left - 2 * GAP), "name", "end")
    steps = "".join(f"V{floor - HIGH * count / tallest:.1f}h{wide:.2f}" for count in counts)
    yield f'<path class="hill g{row.group % GROUPS}" d="M{left:.1f} {floor}{steps}V{floor}Z"/>'
    yield f'<path class="axis" d="M{left:.1f} {floor}H{right:.1f}"/>'
    end_ms = row.low_ms + row.width_ms * len(counts)
    yield text(left, floor + 13, f"{row.low_ms:.2f} ms", "tick", "start")
    yield text(right, floor + 13, f"{end_ms:.2f} ms", "tick", "end")
    for mark, value in row.marks:
        at = left + (value - row.low_ms) / (end_ms - row.low_ms) * (right - left)
        yield (
            f'<line class="mark" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{floor}">'
            f"<title>{escape(mark)}</title></line>"
        )
    if beyond:
        yield text(right + GAP, floor - 2, f"{beyond} beyond", "tick", "start")
