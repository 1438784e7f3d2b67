"""Photometric augmentation of crops: HSV shift, blur and cutout; uint8 BGR in, uint8 BGR out."""

import cv2
import numpy as np

from edge.types import U8
from quantize.distill.data.augment import Augmentation

HUE_RANGE = 180  # OpenCV's hue circle in uint8
CUTOUT_SIDES = (0.2, 0.4)  # fraction of the crop's sides (RTMPose)
BLUR_SIGMA_PX = (0.5, 1.5)


def distort(image: U8, augmentation: Augmentation, rng: np.random.Generator) -> U8:
    """Return the crop with shifted colours and, by their probabilities, blurred and with a rectangle cut out."""
    image = shift_hsv(image, augmentation.hsv, rng)
    if rng.random() < augmentation.blur_prob:
        sigma = rng.uniform(*BLUR_SIGMA_PX)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    return cutout(image, rng) if rng.random() < augmentation.cutout_prob else image


def shift_hsv(image: U8, limits: tuple[float, float, float], rng: np.random.Generator) -> U8:
    """Add one random offset each to hue, saturation and value, uniform within +-limits (YOLOX)."""
    offsets = np.rint(rng.uniform(-1, 1, 3) * limits).astype(np.int16)
    if not offsets.any():
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16) + offsets
    hsv[..., 0] %= HUE_RANGE
    moved = np.clip(hsv, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_HSV2BGR), np.uint8)


def cutout(image: U8, rng: np.random.Generator) -> U8:
    """Return a copy with one random rectangle filled with the crop's mean colour."""
    height, width = image.shape[:2]
    sides = rng.uniform(*CUTOUT_SIDES, 2) * (width, height)
    left, top = (rng.random(2) * ((width, height) - sides)).astype(int)
    right, bottom = left + int(sides[0]), top + int(sides[1])
    covered: U8 = image.copy()
    covered[top:bottom, left:right] = np.array(cv2.mean(image)[:3]).astype(np.uint8)
    return covered
