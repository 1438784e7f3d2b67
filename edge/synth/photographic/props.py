"""Furniture and other objects that stand behind people, and hide parts of them: textured sprites without keypoints."""

import itertools
from collections.abc import Callable

import cv2
import numpy as np

from edge.synth.linear import f32, thrice
from edge.synth.photographic.leaves import scatter
from edge.synth.photographic.palette import paints
from edge.synth.photographic.textures import textured
from edge.synth.sprite import Light, Sprite
from edge.types import F32, U8

Piece = tuple[float, float, float, float]
"""Left, top, right and bottom of a rectangle, as shares of the object's size."""


def _table(rng: np.random.Generator) -> list[Piece]:
    thick = rng.uniform(0.08, 0.3)
    legs = [(x, thick, x + rng.uniform(0.02, 0.08), 1.0) for x in (0.04, 0.88)]
    things = [
        (x, -rng.uniform(0.05, 0.3), x + rng.uniform(0.03, 0.2), 0.02)
        for x in rng.uniform(0, 0.9, int(rng.integers(0, 7)))
    ]
    return [*legs, *things, (0.0, 0.0, 1.0, thick)]


def _counter(rng: np.random.Generator) -> list[Piece]:
    doors = np.linspace(0, 1, int(rng.integers(2, 6)))
    fronts = [(a + 0.02, 0.16, b - 0.02, 0.96) for a, b in itertools.pairwise(doors)]
    things = [
        (x, -rng.uniform(0.05, 0.3), x + rng.uniform(0.03, 0.15), 0.02)
        for x in rng.uniform(0, 0.9, int(rng.integers(0, 5)))
    ]
    return [(0.0, 0.05, 1.0, 1.0), *fronts, *things, (-0.02, 0.0, 1.02, 0.08)]


def _chair(rng: np.random.Generator) -> list[Piece]:
    seat = rng.uniform(0.45, 0.6)
    legs = [(x, seat, x + 0.08, 1.0) for x in (0.0, 0.92)]
    if rng.random() < 0.5:
        back = [(0.0, 0.0, 1.0, seat - 0.08)]
    else:
        slats = np.linspace(0, 0.9, int(rng.integers(3, 6)))
        back = [(x, 0.0, x + 0.1, seat) for x in slats] + [(0.0, 0.0, 1.0, 0.12)]
    return [*legs, *back, (-0.05, seat - 0.08, 1.05, seat + 0.06)]


def _post(rng: np.random.Generator) -> list[Piece]:
    width = rng.uniform(0.15, 0.6)
    return [(0.5 - width / 2, 0.0, 0.5 + width / 2, 1.0)]


def _railing(rng: np.random.Generator) -> list[Piece]:
    bars = np.linspace(0, 0.97, int(rng.integers(4, 14)))
    return [*((x, 0.05, x + 0.03, 1.0) for x in bars), (0.0, 0.0, 1.0, 0.1), (0.0, 0.75, 1.0, 0.82)]


def _crate(rng: np.random.Generator) -> list[Piece]:
    inset = rng.uniform(0.04, 0.2)
    return [(0.0, 0.0, 1.0, 1.0), (inset, inset, 1 - inset, 1 - inset)]


PROPS: dict[str, Callable[[np.random.Generator], list[Piece]]] = {
    "table": _table,
    "counter": _counter,
    "chair": _chair,
    "post": _post,
    "railing": _railing,
    "crate": _crate,
}
"""Object -> function giving its rectangles, drawn in order."""
ASPECTS = {"table": 2.2, "counter": 2.0, "chair": 0.6, "post": 0.15, "railing": 2.5, "crate": 1.2}
"""Width over height of each object, on average."""
PLANT = "plant"


def draw_prop(
    rng: np.random.Generator,
    box: tuple[float, float, float, float],
    palette: F32,
    light: Light,
    wh: tuple[int, int],
    kind: str,
) -> Sprite | None:
    """Draw an object of `kind` (of PROPS, or PLANT) in a box (x0, y0, x1, y1) of the frame; None where outside it.

    Things on a table stand out of its box.
    """
    x0, y0, x1, y1 = box
    rise = 0.3 * (y1 - y0)
    left, top = max(0, int(x0 - 0.06 * (x1 - x0))), max(0, int(y0 - rise))
    right, bottom = min(wh[0], int(x1 + 0.06 * (x1 - x0)) + 1), min(wh[1], int(y1) + 1)
    if right - left < 3 or bottom - top < 3:
        return None
    paint = np.zeros((bottom - top, right - left, 4), np.uint8)
    cover = np.zeros(paint.shape[:2], np.uint8)
    frame = (x0 - left, y0 - top, x1 - left, y1 - top)
    if kind == PLANT:
        _draw_plant(rng, paint, cover, frame, palette)
    else:
        _draw_pieces(rng, paint, cover, frame, palette, PROPS[kind](rng))
    return finished(rng, paint, cover, (left, top), light)


def finished(
    rng: np.random.Generator, paint: U8, cover: U8, left_top: tuple[int, int], light: Light
) -> Sprite:
    """Return the sprite of a painting uint8 (h, w, 4) and its coverage uint8 (h, w), textured and lit from above."""
    height, width = cover.shape
    colours = np.clip(textured(rng, paint), 0, 255)
    shade = np.linspace(rng.uniform(1.0, 1.15), rng.uniform(0.6, 1.0), height, dtype=np.float32)
    covered = cover.astype(np.float32) / np.float32(255)
    lit = thrice(np.repeat(shade[:, None], width, axis=1) * covered) * light.tint
    nowhere = np.zeros((17, 2), np.float32)
    return Sprite(left_top, f32(colours * lit), covered, nowhere, np.zeros(17, bool))


def _draw_pieces(
    rng: np.random.Generator,
    paint: U8,
    cover: U8,
    frame: tuple[float, float, float, float],
    palette: F32,
    pieces: list[Piece],
) -> None:
    """Draw rectangles, sheared alike as seen from the side, each in the object's paint or in one of its own."""
    x0, y0, x1, y1 = frame
    lean, base = rng.normal(0, 0.08, 2), paints(rng, palette, 1)[0]
    for a, b, c, d in pieces:
        own = paints(rng, palette, 1)[0] if b < 0 or rng.random() < 0.15 else base
        colour = np.clip(own * [*(3 * [rng.uniform(0.75, 1.15)]), 1.0], 0, 255).tolist()
        shares = f32([[a, b], [c, b], [c, d], [a, d]])
        shares[:, 1] += lean[0] * (shares[:, 0] - 0.5)
        shares[:, 0] += lean[1] * (shares[:, 1] - 0.5)
        corners = (shares * (x1 - x0, y1 - y0) + (x0, y0)).astype(np.int32)
        cv2.fillPoly(paint, [corners], colour)
        cv2.fillPoly(cover, [corners], 255)


def _draw_plant(
    rng: np.random.Generator,
    paint: U8,
    cover: U8,
    frame: tuple[float, float, float, float],
    palette: F32,
) -> None:
    """Draw leaves around a centre, in greens of the palette."""
    x0, y0, x1, y1 = frame
    greens = f32(palette * [0.25, 0.4, 0.3] + [15, 70, 40])
    paint[:] = paints(rng, greens, 1)[0]
    scatter(rng, paint, greens, 60, (3.0, max(8.0, 0.2 * (x1 - x0))))
    count = int(rng.integers(20, 70))
    spread = rng.normal(0.5, 0.2, (count, 2)) * (x1 - x0, y1 - y0) + (x0, y0)
    size = 0.16 * min(x1 - x0, y1 - y0)
    for x, y in spread.tolist():
        axes = (
            max(1, int(size * rng.uniform(0.3, 1.2))),
            max(1, int(size * rng.uniform(0.15, 0.5))),
        )
        cv2.ellipse(cover, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1)
