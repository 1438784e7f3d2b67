"""Curves of the median over the time of a sustained run: the effect of heat on each row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.bench.report.charts.axis import CHAR, GROUPS, LINE, WIDTH, Axis, svg, text, ticks

HEIGHT, LEFT, TOP, BOTTOM, GAP = 280, 66, 14, 48, 8


@dataclass(frozen=True, slots=True)
class Curve:
    """One row: the median of each window, the minutes of a window, colour group and name."""

    p50_ms: tuple[float, ...]
    step: float
    group: int
    name: str


def curves(rows: Sequence[Curve]) -> str:
    """Return an <svg> of the curves of rows with two windows or more, or "" for none."""
    shown = [row for row in rows if len(row.p50_ms) > 1]
    if not shown:
        return ""
    right = min(max(len(row.name) for row in shown) * CHAR + 2 * GAP, WIDTH / 2)
    minutes = max(row.step * len(row.p50_ms) for row in shown)
    low = min(min(row.p50_ms) for row in shown)
    high = max(max(row.p50_ms) for row in shown)
    room = (high - low) * 0.1 or high * 0.1
    x = Axis("minutes", 0.0, minutes, LEFT, WIDTH - right)
    y = Axis("p50 ms of a window", max(low - room, 0.0), high + room, HEIGHT - BOTTOM, TOP)
    return svg(HEIGHT, "p50 over minutes of load", [*_frame(x, y), *_lines(shown, x, y)])


def _frame(x: Axis, y: Axis) -> Iterator[str]:
    for value in ticks(y.low, y.high):
        at = y.place(float(value))
        yield f'<line class="grid" x1="{x.start}" y1="{at:.1f}" x2="{x.end:.1f}" y2="{at:.1f}"/>'
        yield text(x.start - GAP, at + 4, value, "tick", "end")
    for value in ticks(x.low, x.high):
        yield text(x.place(float(value)), y.start + 16, value, "tick", "middle")
    yield f'<path class="axis" d="M{x.start} {y.end}V{y.start}H{x.end:.1f}"/>'
    yield text((x.start + x.end) / 2, y.start + 34, f"{x.label}; {y.label}", "tick", "middle")


def _lines(rows: Sequence[Curve], x: Axis, y: Axis) -> Iterator[str]:
    last = TOP - LINE
    # names from the top down, each below the one before
    for row in sorted(rows, key=lambda row: -row.p50_ms[-1]):
        places = [
            f"{x.place((number + 0.5) * row.step):.1f} {y.place(value):.1f}"
            for number, value in enumerate(row.p50_ms)
        ]
        yield f'<path class="line g{row.group % GROUPS}" d="M{"L".join(places)}"/>'
        last = max(y.place(row.p50_ms[-1]) + 4, last + LINE)
        yield text(x.end + GAP, last, row.name, "name", "start")
