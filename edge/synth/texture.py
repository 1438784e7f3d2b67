"""Textures: smooth noise, cloth patterns, hair and faces as small BGR tiles, drawn once a person."""

import functools
from collections.abc import Callable

import cv2
import numpy as np

from edge.synth.linear import f32, thrice, tinted
from edge.synth.solid import TILE
from edge.types import F32, U8

SKIN_BGR = f32(
    [
        [190, 208, 240],
        [165, 190, 232],
        [140, 172, 222],
        [118, 154, 208],
        [96, 130, 188],
        [72, 104, 160],
        [54, 80, 128],
        [40, 58, 96],
        [32, 44, 72],
    ]
)
HAIR_BGR = f32(
    [
        [22, 22, 26],
        [28, 32, 44],
        [32, 46, 74],
        [44, 72, 112],
        [84, 142, 192],
        [120, 186, 222],
        [40, 70, 150],
        [150, 152, 156],
        [206, 208, 210],
    ]
)


def smooth_noise(rng: np.random.Generator, wh: tuple[int, int], cells: int) -> F32:
    """Return noise float32 (H, W) in about -1..1 with `cells` blobs across the longer side."""
    width, height = wh
    longest = max(wh)
    grid = (max(2, cells * height // longest), max(2, cells * width // longest))
    values = rng.uniform(-1, 1, grid).astype(np.float32)
    noise: F32 = cv2.resize(values, wh, interpolation=cv2.INTER_CUBIC)
    return noise


def cloth_colour(rng: np.random.Generator) -> F32:
    """Draw a cloth colour float32 (3,) BGR: often grey, dark or blue, sometimes saturated."""
    kind = rng.random()
    if kind < 0.3:
        grey = rng.choice(np.array([24, 45, 80, 128, 180, 225, 242]))
        return f32(np.clip(grey + rng.normal(0, 5, 3), 12, 248))
    hue = rng.uniform(98, 122) if kind < 0.45 else rng.uniform(0, 180)
    saturation, value = rng.uniform(60, 235), rng.uniform(60, 240)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    return f32(cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0])


def _plain(_rng: np.random.Generator, base: F32, _accent: F32) -> F32:
    return tinted(np.ones((TILE, TILE), np.float32), base)


def _mix(weight: F32, base: F32, accent: F32) -> F32:
    weight = f32(weight)
    ends = zip(base, accent, strict=True)
    mixed: F32 = cv2.merge([low + weight * (high - low) for low, high in ends])
    return mixed


@functools.cache
def _ramp() -> tuple[F32, F32]:
    rows, columns = np.mgrid[:TILE, :TILE].astype(np.float32)
    return rows, columns


def _stripes(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    ramp = _ramp()[int(rng.random() < 0.3)]
    period = float(rng.uniform(8, 26))
    return _mix(f32((ramp % period) < period * rng.uniform(0.2, 0.6)), base, accent)


def _checks(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    rows, columns = _ramp()
    period = float(rng.uniform(10, 22))
    weight = ((rows % period) < period / 2).astype(np.float32)
    weight += (columns % period) < period / 2
    return _mix(weight * np.float32(0.5), base, accent)


def _dots(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    tile = _plain(rng, base, accent)
    step = int(rng.integers(10, 20))
    for row in range(step // 2, TILE, step):
        for column in range(step // 2, TILE, step):
            cv2.circle(tile, (column, row), step // 4, accent.tolist(), -1, cv2.LINE_AA)
    return tile


def _blotches(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    noise = smooth_noise(rng, (TILE, TILE), int(rng.integers(6, 14)))
    return _mix(np.clip(noise * 6, 0, 1), base, accent)


def _halves(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    rows, _ = _ramp()
    return _mix(f32(rows > TILE * rng.uniform(0.35, 0.65)), base, accent)


def _heather(rng: np.random.Generator, base: F32, accent: F32) -> F32:
    noise = rng.normal(0, 0.16, (TILE, TILE)).astype(np.float32)
    return _mix(np.clip(np.abs(noise), 0, 1), base, accent)


PATTERNS: dict[str, Callable[[np.random.Generator, F32, F32], F32]] = {
    "plain": _plain,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "blotches": _blotches,
    "halves": _halves,
    "heather": _heather,
}
"""Pattern -> function of (rng, base colour, accent colour) giving a tile."""
_ODDS = (0.4, 0.16, 0.1, 0.06, 0.08, 0.06, 0.14)


def sample_folds(rng: np.random.Generator) -> F32:
    """Return the folds of a cloth: brightness factors float32 (TILE, TILE) around 1."""
    coarse, fine = smooth_noise(rng, (TILE, TILE), 9), smooth_noise(rng, (TILE, TILE), 24)
    return f32(1 + 0.07 * coarse + 0.05 * fine)


def cloth(rng: np.random.Generator, base: F32, pattern: str, folds: F32) -> F32:
    """Return a tile of cloth float32 (TILE, TILE, 3); the folds are shifted, so that several cloths share one set."""
    tile = PATTERNS[pattern](rng, base, cloth_colour(rng))
    return tile * thrice(np.roll(folds, int(rng.integers(TILE)), axis=0))


def sample_pattern(rng: np.random.Generator) -> str:
    """Draw a pattern's name."""
    return str(rng.choice(np.array(list(PATTERNS)), p=_ODDS))


def shirt_front(rng: np.random.Generator, tile: F32) -> F32:
    """Return the torso's tile (azimuth across, height down) with a print, buttons or an open jacket in front."""
    tile = tile.copy()
    accent, middle = cloth_colour(rng).tolist(), TILE // 2
    kind = rng.random()
    if kind < 0.22:
        half = int(rng.integers(4, 10))
        cv2.rectangle(tile, (middle - half, 0), (middle + half, TILE), accent, -1)
    elif kind < 0.42:
        size = (int(rng.integers(5, 11)), int(rng.integers(9, 20)))
        cv2.ellipse(tile, (middle, 44), size, 0, 0, 360, accent, -1, cv2.LINE_AA)
    elif kind < 0.52:
        cv2.line(tile, (middle, 0), (middle, TILE), (tile[0, 0] * 0.55).tolist(), 1)
        for row in range(14, TILE, 16):
            cv2.circle(tile, (middle, row), 1, (235, 235, 235), -1)
    if rng.random() < 0.4:
        cv2.ellipse(tile, (middle, 0), (12, 16), 0, 0, 360, accent, 2)
    return tile


def face_place(azimuth_deg: float, up: float) -> tuple[int, int]:
    """Return the texel (column, row) of a point on the head: azimuth to the person's left from the nose, `up` -1..1."""
    column = 1 + (0.5 + azimuth_deg / 360) * (TILE - 3)
    return round(column), round((1 - up) * TILE / 2)


def face(rng: np.random.Generator, skin: F32, hair: F32) -> F32:
    """Return a head's tile float32 (TILE, TILE, 3): eyes, brows, mouth, cheeks, sometimes beard or glasses."""
    tile = _plain(rng, skin, skin)
    dark, lip = (skin * 0.62).tolist(), (skin * [0.62, 0.58, 0.86]).tolist()
    if rng.random() < 0.25:
        beard = (0.75 * hair + 0.25 * skin).tolist()
        cv2.ellipse(tile, face_place(0, -0.7), (21, 26), 0, 0, 360, beard, -1, cv2.LINE_AA)
        cv2.ellipse(tile, face_place(0, -0.26), (14, 10), 0, 0, 360, skin.tolist(), -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.ellipse(tile, face_place(24 * side, 0.04), (6, 7), 0, 0, 360, dark, -1, cv2.LINE_AA)
        eye = face_place(24 * side, 0.08)
        cv2.ellipse(tile, eye, (4, 3), 0, 0, 360, (236, 238, 240), -1, cv2.LINE_AA)
        cv2.circle(tile, eye, 2, (38, 34, 30), -1, cv2.LINE_AA)
        brow = (face_place(13 * side, 0.27), face_place(36 * side, 0.3))
        cv2.line(tile, *brow, (hair * 0.8).tolist(), 2, cv2.LINE_AA)
        cheek = face_place(36 * side, -0.28)
        cv2.ellipse(tile, cheek, (5, 6), 0, 0, 360, (skin * [0.86, 0.88, 1]).tolist(), -1)
    cv2.ellipse(tile, face_place(0, -0.52), (8, 2), 0, 0, 360, lip, -1, cv2.LINE_AA)
    if rng.random() < 0.18:
        glass = (25, 25, 28)
        thickness = -1 if rng.random() < 0.5 else 1
        for side in (-1, 1):
            cv2.ellipse(tile, face_place(24 * side, 0.06), (7, 8), 0, 0, 360, glass, thickness)
        cv2.line(tile, face_place(-80, 0.1), face_place(80, 0.1), glass, 1)
    return tile


def strands(rng: np.random.Generator, colour: F32, folds: F32) -> F32:
    """Return a tile of hair: streaks down the rows."""
    streaks = rng.normal(0, 0.14, (1, TILE)).astype(np.float32)
    return tinted(streaks + folds, colour)


def as_atlas(tiles: list[F32]) -> U8:
    """Stack tiles into one uint8 atlas."""
    return np.clip(np.concatenate(tiles), 0, 255).astype(np.uint8)
