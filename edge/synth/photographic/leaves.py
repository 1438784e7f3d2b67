"""Dead leaves: shapes of all sizes that cover one another, as the surfaces in a photograph do.

With radii of density r^-3 their statistics are those of photographs (Lee, Mumford and Huang, 2001).
"""

import cv2
import numpy as np

from edge.synth.photographic.palette import paints
from edge.types import F32, U8


def sample_radii(rng: np.random.Generator, count: int, low: float, high: float) -> F32:
    """Draw `count` radii of density r^-3 between `low` and `high`."""
    uniform = rng.random(count)
    return ((low**-2 - uniform * (low**-2 - high**-2)) ** -0.5).astype(np.float32)


def scatter(
    rng: np.random.Generator, paint: U8, palette: F32, count: int, radii: tuple[float, float]
) -> None:
    """Cover a painting uint8 (H, W, 4) with `count` shapes, in place; `radii`: the smallest and largest, in pixels."""
    height, width = paint.shape[:2]
    reach = sample_radii(rng, count, *radii)
    centres = rng.uniform(-0.05, 1.05, (count, 2)) * (width, height)
    stretch, turns = np.exp(rng.normal(0, 0.6, count)), rng.uniform(0, 180, count)
    # things made by people stand upright more often than not
    turns = np.where(rng.random(count) < 0.45, 90 * rng.integers(0, 2, count), turns)
    kinds = rng.integers(0, 4, count)
    colours = paints(rng, palette, count)
    for index, (x, y) in enumerate(centres.tolist()):
        radius, kind = float(reach[index]), int(kinds[index])
        axes = (radius * float(stretch[index]), radius / float(stretch[index]))
        _shape(rng, paint, kind, ((x, y), axes, float(turns[index])), colours[index].tolist())


def _shape(
    rng: np.random.Generator,
    paint: U8,
    kind: int,
    place: tuple[tuple[float, float], tuple[float, float], float],
    colour: list[float],
) -> None:
    """Fill a rectangle, an ellipse, a polygon or a bar at (centre, half-sizes, turn in degrees)."""
    (x, y), (across, down), turn = place
    if kind == 1:
        size = (max(1, int(across)), max(1, int(down)))
        cv2.ellipse(paint, (int(x), int(y)), size, turn, 0, 360, colour, -1)
        return
    if kind == 2:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 9))))
        corners = np.stack([x + np.cos(angles) * across, y + np.sin(angles) * down], axis=1)
    else:
        slim = 0.15 if kind == 3 else 1.0
        corners = cv2.boxPoints(((x, y), (2 * across, 2 * down * slim), turn))
    cv2.fillPoly(paint, [corners.astype(np.int32)], colour)
