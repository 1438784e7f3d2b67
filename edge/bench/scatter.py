"""Scatter plot as inline SVG, without a plotting package or script.

Colours and fonts are the page's, by CSS classes `axis`, `grid`, `tick`, `name`, `lead` and `dot g0` to `dot g3`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 20, 54  # margins
MAX_RADIUS, MIN_RADIUS = 18.0, 3.5
# a letter's width and a line's height at 11 px in common system fonts, rounded up
CHAR, LINE = 6.3, 13.0
TICKS = 8
GROUPS = 4  # colours that the page has

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


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis: its label, the values `low` and `high`, and their places in pixels."""

    label: str
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the place of a value in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


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
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} over {escape(x_label)}">\n' + "\n".join(body) + "\n</svg>"
    )


def ticks(low: float, high: float) -> list[str]:
    """Return at most TICKS + 1 round values, 1, 2 or 5 times a power of ten apart, that lie within low..high.

    All have as many decimals as the step needs.
    """
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [f"{number * step:.{decimals}f}" for number in range(first, last + 1)]


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
        yield _text(at, y.start + 18, value, "tick", "middle")
    for value in ticks(y.low, y.high):
        at = y.place(float(value))
        yield f'<line class="grid" x1="{x.start}" y1="{at:.1f}" x2="{x.end}" y2="{at:.1f}"/>'
        yield _text(x.start - 8, at + 4, value, "tick", "end")
    corner = f"M{x.start} {y.end}V{y.start}H{x.end}"
    yield f'<path class="axis" d="{corner}"/>'
    yield _text((x.start + x.end) / 2, HEIGHT - 12, x.label, "tick", "middle")
    middle = (y.start + y.end) / 2
    yield (
        f'<text class="tick" text-anchor="middle" transform="translate(16 {middle:.1f}) rotate(-90)">'
        f"{escape(y.label)}</text>"
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
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
                yield _text(box[2 if left else 0], box[3] - 3, points[index].name, "name", anchor)
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
