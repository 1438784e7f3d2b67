"""Cluttered, textured backgrounds without people."""

import cv2
import numpy as np

from edge.synth.backdrop import BACKDROPS
from edge.synth.photographic.leaves import scatter
from edge.synth.photographic.palette import paints
from edge.synth.photographic.textures import textured
from edge.types import F32, U8

_STRUCTURED = ("room", "street", "field", "studio")


def draw_backdrop(rng: np.random.Generator, wh: tuple[int, int], palette: F32) -> F32:
    """Return a background float32 (H, W, 3) BGR: a scene or dead leaves, textured."""
    horizon = int(rng.uniform(0.15, 0.6) * wh[1])
    paint = (
        _structured(rng, wh, horizon, palette)
        if rng.random() < 0.55
        else _flat(rng, wh, horizon, palette)
    )
    # from empty walls and skies to shapes that cover everything
    clutter, side = rng.random() ** 2, min(wh)
    radii = (float(rng.uniform(0.012, 0.04)) * side, float(rng.uniform(0.15, 0.5)) * side)
    scatter(rng, paint, palette, int(500 * clutter), radii)
    image = textured(rng, paint)
    if rng.random() < 0.35:
        # out of focus
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.8, 3.0)))
    return image


def _structured(rng: np.random.Generator, wh: tuple[int, int], horizon: int, palette: F32) -> U8:
    """Return a room, street, field or studio in faded colours, with two textures: above and below the horizon."""
    scene = BACKDROPS[str(rng.choice(np.array(_STRUCTURED)))](rng, wh, horizon)
    grey = cv2.cvtColor(cv2.cvtColor(scene, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    faded = cv2.addWeighted(scene, 0.45, grey, 0.55, 0)
    contrast = np.zeros(wh[::-1], np.uint8)
    upper, lower = paints(rng, palette, 2)[:, 3].tolist()
    contrast[:horizon], contrast[horizon:] = int(upper), int(lower)
    painted: U8 = cv2.merge([*cv2.split(faded), contrast])
    return painted


def _flat(rng: np.random.Generator, wh: tuple[int, int], horizon: int, palette: F32) -> U8:
    """Return two surfaces that meet at the horizon, or one."""
    upper, lower = paints(rng, palette, 2).astype(np.uint8)
    painted = np.empty((wh[1], wh[0], 4), np.uint8)
    painted[:] = upper
    if rng.random() < 0.7:
        painted[horizon:] = lower
    return painted
