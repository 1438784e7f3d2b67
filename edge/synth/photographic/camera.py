"""Camera of version 2: uneven light, tone curve, focus, sharpening, noise, resampling and JPEG blocks."""

import cv2
import numpy as np

from edge.synth.camera import Sensor, expose
from edge.synth.linear import f32, thrice
from edge.synth.photographic.textures import coarse_texture
from edge.types import F32, U8


def light_up(rng: np.random.Generator, image: F32) -> F32:
    """Return the scene float32 (H, W, 3) under uneven light: a slope across the frame, shade, dark corners."""
    height, width = image.shape[:2]
    across, down = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    turn, slope = rng.uniform(0, 2 * np.pi), abs(rng.normal(0, 0.18))
    field = 1 + slope * (np.cos(turn) * across + np.sin(turn) * down)
    field = field - rng.uniform(0, 0.18) * (across**2 + down**2)
    shade = rng.uniform(0, 0.22) * coarse_texture(rng, (width, height))
    lit: F32 = cv2.multiply(image, thrice(f32(np.clip(field + shade, 0.25, 1.8))))
    return lit


def photograph(rng: np.random.Generator, image: F32) -> U8:
    """Return the picture uint8 (H, W, 3) that a camera takes of a scene float32 (H, W, 3), as it is published.

    Nothing is displaced: keypoints stay where they are.
    """
    image = _toned(rng, light_up(rng, image))
    exposed = expose(image, _sample_sensor(rng), rng)
    if rng.random() < 0.6:
        soft = cv2.GaussianBlur(exposed, (0, 0), float(rng.uniform(0.8, 1.6)))
        amount = float(rng.uniform(0.3, 1.6))
        exposed = cv2.addWeighted(exposed, 1 + amount, soft, -amount, 0)
    return _published(rng, exposed)


def _sample_sensor(rng: np.random.Generator) -> Sensor:
    """Draw a sensor: sharper than version 1's, as pictures scaled down from larger ones are."""
    exposure, cast = rng.uniform(0.85, 1.2), rng.normal(0, 0.06)
    return Sensor(
        gains=(exposure * (1 - cast), exposure, exposure * (1 + cast)),
        blur_px=float(rng.uniform(0.25, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 1.4)),
        motion_px=int(rng.integers(3, 8)) if rng.random() < 0.06 else 0,
        motion_deg=float(rng.uniform(0, 180)),
        noise=float(rng.uniform(0.5, 5) if rng.random() < 0.8 else rng.uniform(5, 12)),
    )


def _toned(rng: np.random.Generator, image: F32) -> F32:
    """Return the image with more contrast around a random grey, sometimes in black and white."""
    middle, gain = rng.uniform(80, 120), np.exp(rng.normal(0.15, 0.18))
    toned: F32 = cv2.addWeighted(image, float(gain), image, 0, float(middle * (1 - gain)))
    if rng.random() < 0.05:
        toned = thrice(cv2.cvtColor(toned, cv2.COLOR_BGR2GRAY))
    return toned


def _published(rng: np.random.Generator, image: U8) -> U8:
    """Return the image after scaling down and up again (one in four), and JPEG compression."""
    if rng.random() < 0.25:
        height, width = image.shape[:2]
        factor = rng.uniform(0.45, 0.9)
        small = (max(8, round(width * factor)), max(8, round(height * factor)))
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        ways = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)
        image = cv2.resize(image, (width, height), interpolation=ways[int(rng.integers(2))])
    quality = int(rng.uniform(30, 96))
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
