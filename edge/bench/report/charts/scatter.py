"""Scatter plot; CSS classes `name`, `lead` and `dot g0` to `dot g3` besides those of `axis`."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edge.bench.report.charts.axis import CHAR, GROUPS, LINE, WIDTH, Axis, svg, text, ticks

HEIGHT = 440
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 20, 54  # margins
MAX_RADIUS, MIN_RADIUS = 18.0, 3.5

Box = tuple[float, float, float, float]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class Point:
    """A dot: its place, weight (area; 0 is smallest), colour group, name, and title (tooltip)."""

    x: float
    y: float
    weight: float
    group: int
    name: str
    title: str


def scatter(points: Sequence[Point], x_label: str, y_label: str) -> str:
    """Return an <svg> of the points, or "" for none. Names are left out where there is no room."""
    if not points:
        return ""
    x = _axis(x_label, [point.x for point in points], LEFT, WIDTH - RIGHT)
    y = _axis(y_label, [point.y for point in points], HEIGHT - BOTTOM, TOP)
    heaviest = max(point.weight for point in points)
    # largest first, so that small dots are on top
    drawn = sorted(points, key=lambda point: -point.weight)
    dots = [(x.place(each.x), y.place(each.y), _radius(each.weight, heaviest)) for each in drawn]
    body = [*_frame(x, y), *map(_dot, drawn, dots), *_names(drawn, dots)]
    return svg(HEIGHT, f"{y_label} over {x_label}", body)


def _axis(label: str, values: Sequence[float], start: float, end: float) -> Axis:
    """Return an axis with margins around the values, so that no dot is cut; it starts at 0 where that is near."""
    low, high = min(values), max(values)
    room = (high - low) * 0.15 or abs(high) * 0.15 or 1.0
    floor = 0.0 if 0 <= low <= (high - low) * 0.5 + room else low - room
    return Axis(label, floor, high + room, start, end)


def _radius(weight: float, heaviest: float) -> float:
    """Return the radius of a dot whose area is proportional to the weight."""
    share = math.sqrt(weight / heaviest) if heaviest > 0 else 0.0
    return max(MIN_RADIUS, MAX_RADIUS * share)


def _frame(x: Axis, y: Axis) -> Iterator[str]:
    for value in ticks(x.low, x.high):
        at = x.place(float(value))
        yield f'<line class="grid" x1="{at:.1f}" y1="{y.start}" x2="{at:.1f}" y2="{y.end}"/>'
        yield text(at, y.start + 18, value, "tick", "middle")
    for value in ticks(y.low, y.high):
        at = y.place(float(value))
        yield f'<line class="grid" x1="{x.start}" y1="{at:.1f}" x2="{x.end}" y2="{at:.1f}"/>'
        yield text(x.start - 8, at + 4, value, "tick", "end")
    corner = f"M{x.start} {y.end}V{y.start}H{x.end}"
    yield f'<path class="axis" d="{corner}"/>'
    yield text((x.start + x.end) / 2, HEIGHT - 12, x.label, "tick", "middle")
    middle = (y.start + y.end) / 2
    yield (
        f'<text class="tick" text-anchor="middle" transform="translate(16 {middle:.1f}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )


def _dot(point: Point, dot: tuple[float, float, float]) -> str:
    cx, cy, radius = dot
    return (
        f'<circle class="dot g{point.group % GROUPS}" cx="{cx:.1f}" cy="{cy:.1f}" r="{radius:.1f}">'
        f"<title>{escape(point.title)}</title></circle>"
    )


def _names(points: Sequence[Point], dots: Sequence[tuple[float, float, float]]) -> Iterator[str]:
    """Yield each name at the first free place near its dot."""
    taken: list[Box] = [(x - r, y - r, x + r, y + r) for x, y, r in dots]
    # lightest first: of overlapping dots, the large one has more room around it
    for index in reversed(range(len(points))):
        others = taken[:index] + taken[index + 1 :]
        for box, far in _places(points[index].name, dots[index]):
            if _inside(box) and not any(_overlap(box, other) for other in others):
                taken.append(box)
                cx, cy, _ = dots[index]
                if far:
                    near_x = min(max(cx, box[0]), box[2])
                    near_y = min(max(cy, box[1]), box[3])
                    yield f'<path class="lead" d="M{cx:.1f} {cy:.1f}L{near_x:.1f} {near_y:.1f}"/>'
                # the width is an estimate, so anchor the text at the end near the dot
                left = box[2] < cx
                anchor = "end" if left else "start"
                yield text(box[2 if left else 0], box[3] - 3, points[index].name, "name", anchor)
                break


def _places(name: str, dot: tuple[float, float, float]) -> Iterator[tuple[Box, bool]]:
    """Yield boxes for a name, near ones first: right, left, above, below, the corners, then in wider rings."""
    cx, cy, radius = dot
    width = len(name) * CHAR
    sides = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
    for ring in (0, 1, 2, 3, 4, 6):
        gap = radius + 4 + ring * LINE * 1.5
        for dx, dy in sides:
            x = cx + dx * gap - (width if dx < 0 else width / 2 if dx == 0 else 0)
            y = cy + dy * (gap + (LINE / 2 if dx == 0 else 0)) - LINE / 2
            yield (x, y, x + width, y + LINE), ring > 0


def _inside(box: Box) -> bool:
    return box[0] >= LEFT and box[2] <= WIDTH - 4 and box[1] >= 4 and box[3] <= HEIGHT - BOTTOM


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
