"""Colours of a scene: a few anchors, mostly greyish and earthy, and variations of them."""

import cv2
import numpy as np

from edge.synth.linear import f32
from edge.types import F32


def sample_palette(rng: np.random.Generator) -> F32:
    """Draw the colours float32 (N, 3) BGR that the things of one scene share."""
    count = int(rng.integers(5, 12))
    vivid = rng.random(count) < rng.uniform(0.05, 0.3)
    # earth, wood, skin and brick are more frequent than other hues
    hue = np.where(
        rng.random(count) < 0.55, rng.normal(15, 8, count) % 180, rng.uniform(0, 180, count)
    )
    saturation = np.where(vivid, rng.uniform(110, 240, count), rng.uniform(0, 100, count))
    value = 40 + 215 * rng.beta(1.2, 1.1, count)
    pixels = np.stack([hue, saturation, value], axis=1).astype(np.uint8)[None]
    return f32(cv2.cvtColor(pixels, cv2.COLOR_HSV2BGR)[0])


def paints(rng: np.random.Generator, palette: F32, count: int) -> F32:
    """Return `count` paints float32 (count, 4): colours near the palette's, and the contrast of their texture."""
    colours = palette[rng.integers(len(palette), size=count)]
    bright, shift = rng.normal(0, 22, (count, 1)), rng.normal(0, 7, (count, 3))
    contrast = np.minimum(4 + rng.exponential(18, (count, 1)), 70)
    return f32(np.clip(np.concatenate([colours + bright + shift, contrast], axis=1), 0, 255))
