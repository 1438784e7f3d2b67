"""What happens to a training crop's pixels: colour, blur, and a patch cut out. uint8 BGR in, uint8 BGR out."""

import cv2
import numpy as np

from edge.types import U8
from quantize.distill.data.augment import Strength

HUES = 180  # OpenCV's circle of hues in uint8
CUTOUT_SIDES = (0.2, 0.4)  # of the crop's sides, as RTMPose cuts them
BLUR_SIGMA_PX = (0.5, 1.5)


def disturb(image: U8, strength: Strength, rng: np.random.Generator) -> U8:
    """Return the crop with its colours moved, sometimes blurred, sometimes with a patch of grey over it."""
    image = recolour(image, strength.hsv, rng)
    if rng.random() < strength.blurred:
        sigma = rng.uniform(*BLUR_SIGMA_PX)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    return cut_out(image, rng) if rng.random() < strength.cutout else image


def recolour(image: U8, reach: tuple[float, float, float], rng: np.random.Generator) -> U8:
    """Add one offset to all hues, one to the saturation, one to the value, each drawn up to its reach (YOLOX)."""
    offsets = np.rint(rng.uniform(-1, 1, 3) * reach).astype(np.int16)
    if not offsets.any():
        return image
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).astype(np.int16) + offsets
    hsv[..., 0] %= HUES
    moved = np.clip(hsv, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(moved, cv2.COLOR_HSV2BGR), np.uint8)


def cut_out(image: U8, rng: np.random.Generator) -> U8:
    """Return a copy with one rectangle painted in the crop's mean colour: what is under it must be inferred."""
    height, width = image.shape[:2]
    sides = rng.uniform(*CUTOUT_SIDES, 2) * (width, height)
    left, top = (rng.random(2) * ((width, height) - sides)).astype(int)
    right, bottom = left + int(sides[0]), top + int(sides[1])
    covered: U8 = image.copy()
    covered[top:bottom, left:right] = np.array(cv2.mean(image)[:3]).astype(np.uint8)
    return covered
