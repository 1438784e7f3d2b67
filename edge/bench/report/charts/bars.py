"""Horizontal bars, each in steps that fade: p50, p90 and p99 of a row, or one figure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edge.bench.report.charts.axis import CHAR, GROUPS, WIDTH, Axis, fitted, svg, text, ticks

ROW, THICK, TOP, BOTTOM, GAP = 24, 14, 8, 44, 8
FADES = ("", " fade1", " fade2")


@dataclass(frozen=True, slots=True)
class Bar:
    """Ends of its steps, rising, at most three; colour group, name, the text behind it, and title (tooltip)."""

    ends: tuple[float, ...]
    group: int
    name: str
    value: str
    title: str


def bars(rows: Sequence[Bar], label: str) -> str:
    """Return an <svg> of the bars, from zero on, or "" for none."""
    if not rows:
        return ""
    left = min(max(len(row.name) for row in rows) * CHAR + 2 * GAP, WIDTH / 2)
    behind = max(len(row.value) for row in rows) * CHAR + GAP
    bottom = TOP + ROW * len(rows)
    longest = max(max(row.ends) for row in rows) or 1.0
    axis = Axis(label, 0.0, longest, left, WIDTH - behind - GAP)
    body = [*_grid(axis, bottom)]
    for number, row in enumerate(rows):
        body += _bar(row, axis, TOP + ROW * number + (ROW - THICK) / 2)
    return svg(bottom + BOTTOM, label, body)


def _grid(axis: Axis, bottom: float) -> Iterator[str]:
    for value in ticks(axis.low, axis.high):
        at = axis.place(float(value))
        yield f'<line class="grid" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}"/>'
        yield text(at, bottom + 16, value, "tick", "middle")
    yield text((axis.start + axis.end) / 2, bottom + 34, axis.label, "tick", "middle")


def _bar(row: Bar, axis: Axis, y: float) -> Iterator[str]:
    name = fitted(row.name, axis.start - 2 * GAP)
    yield text(axis.start - GAP, y + THICK - 3, name, "name", "end")
    start = axis.start
    yield f"<g><title>{escape(row.title)}</title>"
    for end, fade in zip(row.ends, FADES, strict=False):
        stop = axis.place(end)
        yield (
            f'<rect class="bar g{row.group % GROUPS}{fade}" x="{start:.1f}" y="{y:.1f}" '
            f'width="{max(stop - start, 0):.1f}" height="{THICK}"/>'
        )
        start = stop
    yield "</g>"
    yield text(start + GAP / 2, y + THICK - 3, row.value, "tick", "start")
