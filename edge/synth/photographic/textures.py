"""Fractal textures with the power spectrum of photographs, drawn once a process and cropped at random.

The power of photographs falls with frequency as f^-2 to f^-3 (Ruderman and Bialek, 1994; COCO: -2.4 on average).
"""

import functools

import cv2
import numpy as np

from edge.synth.linear import f32
from edge.types import F32, U8

SIDE = 512
SLOPES = (-1.2, -1.6, -2.0, -2.0, -2.4, -2.4, -2.8)


def fractal(rng: np.random.Generator, side: int, slope: float) -> F32:
    """Return noise float32 (side, side) of mean 0 and deviation 1 whose power falls as f^slope; its edges join."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf  # no mean
    # the phases of white noise: those of a real image
    white = np.fft.rfft2(rng.standard_normal((side, side)))
    phase = white / np.abs(white)
    noise = np.fft.irfft2(phase * frequency ** (slope / 2), (side, side))
    return f32(noise / noise.std())


@functools.cache
def _bank() -> tuple[F32, ...]:
    """Return the textures; fresh ones would cost more than the people."""
    rng = np.random.default_rng(0)
    bank = tuple(fractal(rng, SIDE, slope) for slope in SLOPES)
    for texture in bank:
        texture.setflags(write=False)
    return bank


def texture(rng: np.random.Generator, wh: tuple[int, int]) -> F32:
    """Return a random crop float32 (H, W) of a random texture, turned or mirrored; of deviation about 1."""
    bank = _bank()
    chosen = bank[int(rng.integers(len(bank)))]
    if rng.random() < 0.5:
        chosen = chosen.T
    top, left = rng.integers(0, SIDE, 2).tolist()
    step = 1 if rng.random() < 0.5 else -1
    rows = (top + np.arange(wh[1])) % SIDE
    columns = (left + step * np.arange(wh[0])) % SIDE
    crop: F32 = chosen[rows][:, columns]
    return crop


def coarse_texture(rng: np.random.Generator, wh: tuple[int, int]) -> F32:
    """Return a field as `texture` does, of large smooth blobs alone: light and shade."""
    small = (max(2, wh[0] // 16), max(2, wh[1] // 16))
    smooth = cv2.GaussianBlur(texture(rng, small), (0, 0), 1.5)
    field: F32 = cv2.resize(smooth, wh, interpolation=cv2.INTER_LINEAR)
    return field


def textured(rng: np.random.Generator, paint: U8) -> F32:
    """Return colours float32 (H, W, 3) of a painting uint8 (H, W, 4): BGR and the contrast of each pixel's texture.

    Textures vary brightness, and hue a little.
    """
    wh = (paint.shape[1], paint.shape[0])
    blue, green, red, contrast = cv2.split(paint)
    grey = cv2.multiply(texture(rng, wh), contrast, dtype=cv2.CV_32F)
    hue = cv2.multiply(texture(rng, wh), contrast, scale=0.2, dtype=cv2.CV_32F)
    channels = (
        cv2.add(blue, grey - hue, dtype=cv2.CV_32F),
        cv2.add(green, grey, dtype=cv2.CV_32F),
        cv2.add(red, grey + hue, dtype=cv2.CV_32F),
    )
    colours: F32 = cv2.merge(channels)
    return colours
