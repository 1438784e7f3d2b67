"""Axes and texts of charts as SVG, without a plotting package or script.

Colours and fonts are the page's, by CSS classes `axis`, `grid` and `tick`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

WIDTH = 760
# a letter's width and a line's height at 11 px in common system fonts, rounded up
CHAR, LINE = 6.3, 13.0
TICKS = 8
GROUPS = 4  # colours that the page has


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


def svg(height: float, label: str, body: Iterable[str]) -> str:
    """Return an <svg> of WIDTH and this height; label: for readers who do not see it."""
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return "\n".join([head, *body, "</svg>"])


def text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    """Return a <text> of CSS class `kind`; anchor: start, middle or end."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def fitted(name: str, width: float) -> str:
    """Return a name that fits a width in pixels: its end, which tells rows apart, where it is longer."""
    room = max(int(width / CHAR + 1e-6), 2)
    return name if len(name) <= room else f"…{name[1 - room :]}"
