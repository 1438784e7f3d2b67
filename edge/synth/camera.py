"""Lens and sensor model: exposure, white balance, blur, shake and noise."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from edge.synth.linear import f32
from edge.synth.sprite import Light
from edge.types import F32, U8


@dataclass(frozen=True, slots=True)
class Sensor:
    """`gains`: BGR factors; `blur_px`, `noise`: sigmas; `motion_px`, `motion_deg`: length and angle of the shake."""

    gains: tuple[float, float, float]
    blur_px: float
    motion_px: int
    motion_deg: float
    noise: float


def sample_light(rng: np.random.Generator) -> Light:
    """Draw a light: mostly above and in front of the people."""
    direction = f32([rng.normal(0, 0.7), -rng.uniform(0.2, 1.1), rng.uniform(0.35, 1.0)])
    warm = rng.normal(0, 0.05)
    bright = rng.uniform(0.8, 1.15)
    tint = f32([bright * (1 - warm), bright, bright * (1 + warm)])
    return Light(direction / np.linalg.norm(direction), float(rng.uniform(0.32, 0.68)), tint)


def sample_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a sensor: mostly good, some dark, soft, shaky or noisy."""
    exposure, cast = rng.uniform(0.7, 1.2), rng.normal(0, 0.05)
    return Sensor(
        gains=(exposure * (1 - cast), exposure, exposure * (1 + cast)),
        blur_px=float(rng.uniform(0.45, 0.75) if rng.random() < 0.8 else rng.uniform(0.8, 1.6)),
        motion_px=int(rng.integers(3, 8)) if rng.random() < 0.1 else 0,
        motion_deg=float(rng.uniform(0, 180)),
        noise=float(rng.uniform(0.5, 4) if rng.random() < 0.8 else rng.uniform(4, 11)),
    )


@functools.cache
def _noise_field(rows: int, columns: int) -> F32:
    """Return white noise, drawn once and cropped at random: fresh noise would cost more than the people."""
    field = np.random.default_rng(0).standard_normal((rows, columns, 3), np.float32)
    field.setflags(write=False)
    return field


def _noise(rng: np.random.Generator, wh: tuple[int, int]) -> F32:
    width, height = wh
    # rounded up, so that frames of similar sizes share a field, with at least 128 pixels to move the crop
    field = _noise_field((height + 639) // 512 * 512, (width + 639) // 512 * 512)
    top = int(rng.integers(field.shape[0] - height + 1))
    left = int(rng.integers(field.shape[1] - width + 1))
    return field[top : top + height, left : left + width]


def expose(image: F32, sensor: Sensor, rng: np.random.Generator) -> U8:
    """Return the exposed image uint8 (H, W, 3) of a scene float32 (H, W, 3) BGR."""
    height, width = image.shape[:2]
    image = cv2.transform(image, np.diag(sensor.gains))
    if sensor.motion_px:
        image = cv2.filter2D(image, -1, _shake(sensor.motion_px, sensor.motion_deg))
    image = cv2.GaussianBlur(image, (0, 0), sensor.blur_px)
    noise = _noise(rng, (width, height))
    exposed: U8 = cv2.addWeighted(image, 1.0, noise, sensor.noise, 0.0, dtype=cv2.CV_8U)
    return exposed


def _shake(length_px: int, angle_deg: float) -> F32:
    """Return a line kernel, symmetric, so that nothing is displaced."""
    kernel = np.zeros((length_px | 1, length_px | 1), np.float32)
    kernel[length_px // 2] = 1
    middle = (kernel.shape[0] - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), angle_deg, 1.0)
    turned = cv2.warpAffine(kernel, turn, kernel.shape[::-1])
    smeared: F32 = turned / turned.sum()
    return smeared
