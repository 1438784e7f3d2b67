"""Backgrounds without people: rooms, streets, fields, studios and abstract clutter."""

from collections.abc import Callable

import cv2
import numpy as np

from edge.synth.linear import thrice
from edge.synth.texture import smooth_noise
from edge.types import F32, U8


def _colour(rng: np.random.Generator, low: float = 20, high: float = 235) -> tuple[int, int, int]:
    """Draw a BGR colour, mostly greyish."""
    grey = rng.uniform(low, high)
    spread = rng.uniform(5, 70)
    blue, green, red = np.clip(grey + rng.normal(0, spread, 3), low, high).astype(int).tolist()
    return blue, green, red


def _gradient(wh: tuple[int, int], top: tuple[int, ...], bottom: tuple[int, ...]) -> U8:
    ends = np.array([[top], [bottom]], np.uint8)
    # sampled between the two centres, so that the ends are exactly the two colours
    column = cv2.resize(ends, (1, 2 * wh[1]), interpolation=cv2.INTER_LINEAR)
    middle = column[wh[1] // 2 : wh[1] // 2 + wh[1]]
    image: U8 = cv2.repeat(middle, 1, wh[0])
    return image


def _grain(rng: np.random.Generator, image: U8, strength: float, cells: int) -> None:
    """Vary brightness by noise of two sizes, in place."""
    size = (image.shape[1], image.shape[0])
    noise = smooth_noise(rng, size, cells) + 0.6 * smooth_noise(rng, size, 5 * cells)
    cv2.add(image, thrice(noise * np.float32(strength)), dst=image, dtype=cv2.CV_8U)


def _box(
    rng: np.random.Generator, image: U8, centre: tuple[int, int], size: tuple[int, int]
) -> None:
    """Draw a rectangle with an edge: a window, a picture, a cupboard, a crate."""
    left, top = centre[0] - size[0] // 2, centre[1] - size[1] // 2
    right, bottom = left + size[0], top + size[1]
    cv2.rectangle(image, (left, top), (right, bottom), _colour(rng), -1)
    inset = max(1, size[0] // int(rng.integers(6, 16)))
    if rng.random() < 0.6:
        corner = (right - inset, bottom - inset)
        cv2.rectangle(image, (left + inset, top + inset), corner, _colour(rng), -1)
    cv2.rectangle(image, (left, top), (right, bottom), _colour(rng, 10, 120), 1)


def _room(rng: np.random.Generator, wh: tuple[int, int], horizon: int) -> U8:
    """Return a wall, a floor with boards or tiles, and objects on and in front of the wall."""
    width, height = wh
    wall = _colour(rng, 60, 240)
    image = _gradient(wh, wall, tuple(int(0.85 * value) for value in wall))
    line = min(height - 8, horizon + int(rng.uniform(0.1, 0.3) * height))
    floor = _colour(rng, 40, 200)
    image[line:] = _gradient((width, height - line), floor, tuple(int(0.75 * v) for v in floor))
    seam = tuple(int(0.7 * value) for value in floor)
    vanish = int(rng.uniform(0.2, 0.8) * width)
    for offset in range(-3 * width, 4 * width, max(24, int(rng.uniform(0.1, 0.3) * width))):
        far = vanish + (offset - vanish) // 4
        cv2.line(image, (far, line), (offset, height), seam, 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(1, 7))):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, line)))
        size = (int(rng.uniform(0.05, 0.3) * width), int(rng.uniform(0.06, 0.4) * height))
        _box(rng, image, centre, size)
    for _ in range(int(rng.integers(0, 4))):
        tall = int(rng.uniform(0.1, 0.45) * height)
        centre = (int(rng.uniform(0, width)), line + int(0.1 * tall) - tall // 2)
        _box(rng, image, centre, (int(rng.uniform(0.06, 0.3) * width), tall))
    cv2.line(image, (0, line), (width, line), _colour(rng, 20, 160), int(rng.integers(1, 6)))
    _grain(rng, image, rng.uniform(3, 12), int(rng.integers(3, 9)))
    return image


def _street(rng: np.random.Generator, wh: tuple[int, int], horizon: int) -> U8:
    """Return sky, houses with windows, a road and poles."""
    width, height = wh
    image = _gradient(wh, (235, 190, 150), (240, 225, 210))
    image[:] = cv2.addWeighted(image, 0.7, np.full_like(image, rng.uniform(90, 250)), 0.3, 0)
    line = min(height - 8, horizon + int(rng.uniform(0.04, 0.14) * height))
    left = -int(rng.uniform(0, 0.1) * width)
    while left < width:
        wide, top = int(rng.uniform(0.1, 0.32) * width), int(rng.uniform(0, 0.8) * line)
        house, pane = _colour(rng, 50, 220), _colour(rng, 30, 235)
        cv2.rectangle(image, (left, top), (left + wide, line), house, -1)
        step = max(10, wide // int(rng.integers(3, 7)))
        for x in range(left + step // 3, left + wide - step // 2, step):
            for y in range(top + step // 3, line - step // 2, int(1.4 * step)):
                cv2.rectangle(image, (x, y), (x + step // 2, y + int(0.7 * step)), pane, -1)
        left += wide + int(max(0, rng.normal(0, 0.05)) * width)
    road = _colour(rng, 60, 170)
    image[line:] = _gradient((width, height - line), road, tuple(int(0.8 * v) for v in road))
    for _ in range(int(rng.integers(0, 4))):
        x, thick = int(rng.uniform(0, width)), int(rng.integers(2, 9))
        foot = (x, line + int(rng.uniform(0, 0.3) * height))
        cv2.line(image, (x, 0), foot, _colour(rng, 20, 140), thick)
    _grain(rng, image, rng.uniform(6, 18), int(rng.integers(4, 14)))
    return image


def _field(rng: np.random.Generator, wh: tuple[int, int], horizon: int) -> U8:
    """Return sky with clouds, trees, and grass or sand."""
    width, height = wh
    image = _gradient(wh, (220, 160, 100), (235, 225, 205))
    clouds = np.clip(smooth_noise(rng, wh, 7) * 60, 0, 60).astype(np.uint8)
    image[:] = cv2.add(image, cv2.merge([clouds, clouds, clouds]))
    line = max(8, min(height - 8, horizon + int(rng.uniform(-0.02, 0.08) * height)))
    ground = (
        (45, 110, 80),
        (60, 140, 120),
        (120, 170, 200),
        (90, 130, 110),
        (225, 225, 220),
    )[rng.integers(5)]
    image[line:] = _gradient((width, height - line), ground, tuple(int(0.8 * v) for v in ground))
    for _ in range(int(rng.integers(2, 10))):
        x, size = int(rng.uniform(0, width)), int(rng.uniform(0.04, 0.2) * height)
        base = line + int(rng.uniform(0, 0.08) * height)
        green = (int(rng.uniform(20, 70)), int(rng.uniform(60, 130)), int(rng.uniform(30, 100)))
        cv2.line(image, (x, base), (x, base - size), (40, 60, 80), max(2, size // 8))
        for _ in range(5):
            blob = (x + int(rng.normal(0, size / 3)), base - size - int(rng.normal(0, size / 3)))
            shade = tuple(int(value * rng.uniform(0.75, 1.2)) for value in green)
            cv2.circle(image, blob, max(2, size // 2), shade, -1, cv2.LINE_AA)
    _grain(rng, image, rng.uniform(10, 28), int(rng.integers(8, 30)))
    return image


def _studio(rng: np.random.Generator, wh: tuple[int, int], _horizon: int) -> U8:
    """Return a plain or shaded backdrop."""
    image = _gradient(wh, _colour(rng), _colour(rng))
    _grain(rng, image, rng.uniform(0, 20), 2)
    return image


def _abstract(rng: np.random.Generator, wh: tuple[int, int], _horizon: int) -> U8:
    """Return coloured noise and shapes, also limb-like ones: negatives for a detector."""
    width, height = wh
    small = rng.integers(0, 256, (int(rng.integers(3, 12)), int(rng.integers(4, 16)), 3))
    image: U8 = cv2.resize(small.astype(np.uint8), wh, interpolation=cv2.INTER_CUBIC)
    # faded towards grey: saturated noise is rare in photographs
    fade = rng.uniform(0.25, 0.9)
    image = cv2.addWeighted(image, 1 - fade, np.full_like(image, rng.uniform(40, 220)), fade, 0)
    for _ in range(int(rng.integers(6, 26))):
        ends = rng.uniform(-0.1, 1.1, (2, 2)) * [width, height]
        first, second = (tuple(point.astype(int).tolist()) for point in ends)
        size, kind = int(rng.uniform(0.02, 0.14) * height), rng.integers(4)
        if kind == 0:
            cv2.line(image, first, second, _colour(rng), max(1, size // 2), cv2.LINE_AA)
        elif kind == 1:
            cv2.circle(image, first, size, _colour(rng), -1, cv2.LINE_AA)
        elif kind == 2:
            _box(rng, image, first, (2 * size, int(size * rng.uniform(0.5, 4))))
        else:
            corners = (ends[:1] + rng.normal(0, 1.5 * size, (4, 2))).astype(np.int32)
            cv2.fillPoly(image, [corners], _colour(rng), cv2.LINE_AA)
    _grain(rng, image, rng.uniform(5, 30), int(rng.integers(4, 40)))
    return image


BACKDROPS: dict[str, Callable[[np.random.Generator, tuple[int, int], int], U8]] = {
    "room": _room,
    "street": _street,
    "field": _field,
    "studio": _studio,
    "abstract": _abstract,
}
"""Kind -> function of (rng, wh, horizon row) giving uint8 BGR."""
_ODDS = (0.31, 0.25, 0.22, 0.11, 0.11)


def draw_backdrop(rng: np.random.Generator, wh: tuple[int, int], horizon: int) -> U8:
    """Return a background uint8 (H, W, 3) BGR, sometimes out of focus."""
    kind = str(rng.choice(np.array(list(BACKDROPS)), p=_ODDS))
    image = BACKDROPS[kind](rng, wh, horizon)
    if rng.random() < 0.45:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 2.8)))
    return image


def shadow(image: F32, centre: tuple[float, float], radius_px: float, strength: float) -> None:
    """Darken an ellipse on the floor in place; image float32 (H, W, 3)."""
    reach_x, reach_y = 2 * radius_px, 0.6 * radius_px
    left, right = max(0, int(centre[0] - reach_x)), min(image.shape[1], int(centre[0] + reach_x))
    top, bottom = max(0, int(centre[1] - reach_y)), min(image.shape[0], int(centre[1] + reach_y))
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right, dtype=np.float32)[None] - centre[0]) / np.float32(0.5 * reach_x)
    y = (np.arange(top, bottom, dtype=np.float32)[:, None] - centre[1]) / np.float32(0.5 * reach_y)
    dark = np.float32(strength) * np.exp(-(x * x + y * y) * np.float32(1.2))
    image[top:bottom, left:right] *= thrice(1 - dark)
