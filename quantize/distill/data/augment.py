"""Geometric augmentation of a crop: flip, shift, scale, rotation, half body, detector-like boxes.

Every random number comes from the generator given, so a sample is the same on one process as on many.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.schema import KeypointSchema
from edge.types import F32
from quantize.distill.data.crop_view import CropView

# From AlphaPose's code, fitted to a detector's boxes: mean and deviation of each edge (left, top, right, bottom) in
# box sides.
EDGE_MEANS = np.array((-0.0142, 0.0043, 0.0154, -0.0013))
EDGE_DEVIATIONS = np.array((0.1158, 0.068, 0.1337, 0.0711))
# With this probability the box is a random part of itself instead, down to this fraction of its sides.
PART_PROB, PART_MIN_FRACTION = 0.15, 0.85
HALF_BODY_PADDING = 1.5
UPPER_BODY_PROB = 0.7  # cameras near people see the upper half more often
LOWER_BODY = ("hip", "knee", "ankle", "toe", "heel", "foot")


@dataclass(frozen=True, slots=True)
class HalfBodyMin:
    """Labelled keypoints that a half-body crop needs in all, in the upper half and in the lower half to be chosen."""

    labelled: int = 9
    upper: int = 2
    lower: int = 3


MMPOSE_HALF_BODY = HalfBodyMin()


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Ranges and probabilities of random changes to a crop.

    scale: smallest and largest factor. rotation_deg: largest angle. shift: largest offset in box sides. jitter: "none",
    or "detector" for boxes as a detector draws them (AlphaPose). hsv: largest offsets of hue, saturation and value on
    OpenCV's scales (0..180, 0..255, 0..255). `*_prob` and cutout: probabilities per sample.
    """

    scale: tuple[float, float] = (0.75, 1.25)
    rotation_deg: float = 60.0
    rotation_prob: float = 0.6
    shift: float = 0.0
    flip_prob: float = 0.5
    half_body_prob: float = 0.3
    jitter: str = "none"
    hsv: tuple[float, float, float] = (5.0, 30.0, 30.0)
    blur_prob: float = 0.1
    cutout_prob: float = 0.5
    shift_prob: float = 1.0
    half_body_min: HalfBodyMin = MMPOSE_HALF_BODY


# RTMPose's two stages (arXiv:2303.07399): strong first, weak at the end of training.
STRONG = Augmentation(
    scale=(0.6, 1.4), rotation_deg=80.0, shift=0.16, cutout_prob=1.0, shift_prob=0.3
)
WEAK = Augmentation()
# For fixed cameras that see people upright and whole: easier, and learned in fewer steps.
GENTLE = Augmentation((0.8, 1.25), 30.0, 0.3, 0.05, 0.5, 0.1, "none", (5.0, 30.0, 30.0), 0.1, 0.0)
NO_AUGMENTATION = Augmentation(
    (1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, "none", (0.0, 0.0, 0.0), 0.0, 0.0
)


def random_view(
    view: CropView,
    keypoints: F32,
    schema: KeypointSchema,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> CropView:
    """Return a random view near `view`. keypoints: float32 (K, 3) in frame pixels, (x, y, visibility).

    Order, distributions and probabilities are mmpose's (RandomHalfBody, RandomBBoxTransform): half body first, then
    shift, scale and rotation from truncated normals.
    """
    flipped = rng.random() < augmentation.flip_prob
    if rng.random() < augmentation.half_body_prob:
        view = half_body(view, keypoints, schema, rng, augmentation.half_body_min)
    shift = _truncated_normal(rng, 2) * augmentation.shift
    # certain shifts draw no number: runs of earlier versions are resumed with the same views
    if augmentation.shift_prob < 1 and rng.random() >= augmentation.shift_prob:
        shift = np.zeros(2)
    low, high = augmentation.scale
    factor = (low + high) / 2 + float(_truncated_normal(rng, 1)[0]) * (high - low) / 2
    rotation_deg = float(_truncated_normal(rng, 1)[0]) * augmentation.rotation_deg
    rotation_deg *= rng.random() < augmentation.rotation_prob
    centre = np.array(view.centre) + shift * np.array(view.size)
    size = np.array(view.size) * factor
    return CropView(
        (float(centre[0]), float(centre[1])),
        (float(size[0]), float(size[1])),
        rotation_deg,
        flipped,
    )


def half_body(
    view: CropView,
    keypoints: F32,
    schema: KeypointSchema,
    rng: np.random.Generator,
    minimum: HalfBodyMin = MMPOSE_HALF_BODY,
) -> CropView:
    """Return a view of the upper or lower body where enough keypoints are labelled, otherwise `view`."""
    labelled = keypoints[:, 2] > 0
    if labelled.sum() < minimum.labelled:
        return view
    lower = np.array([any(part in name for part in LOWER_BODY) for name in schema.names])
    halves = [(labelled & lower, minimum.lower), (labelled & ~lower, minimum.upper)]
    first = int(rng.random() < UPPER_BODY_PROB)
    ordered = (halves[first], halves[1 - first])
    kept = next((half for half, needed in ordered if half.sum() >= needed), None)
    if kept is None:
        return view
    points = keypoints[kept, :2].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = points.mean(axis=0)
    size = np.maximum((high - low) * HALF_BODY_PADDING, 1.0)
    return replace(
        view,
        centre=(float(centre[0]), float(centre[1])),
        size=(float(size[0]), float(size[1])),
    )


def jitter_box(box: F32, rng: np.random.Generator) -> F32:
    """Return a box float32 (4,) xyxy as a detector might draw it: part-guided proposals, arXiv:2211.03375.

    The numbers are those of the authors' code, one Gaussian an edge and a random part of the box instead now and then.
    Section 3.3 of the paper has a mixture of Gaussians for each part (body, face, hand), joint for the two edges of an
    axis, and neither it nor the code gives their parameters; people's boxes are bodies here.
    """
    left, top, right, bottom = box.astype(np.float64)
    sides = np.array((right - left, bottom - top))
    if rng.random() < PART_PROB:
        fraction = rng.uniform(PART_MIN_FRACTION, 1.0)
        corner = np.array((left, top)) + rng.random(2) * sides * (1 - fraction)
        return np.concatenate([corner, corner + sides * fraction]).astype(np.float32)
    moved = box + rng.normal(EDGE_MEANS, EDGE_DEVIATIONS) * np.tile(sides, 2)
    moved[2:] = np.maximum(moved[2:], moved[:2] + 1.0)
    jittered: F32 = moved.astype(np.float32)
    return jittered


def _truncated_normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw from a standard normal truncated to [-1, 1] (mmpose's truncnorm)."""
    kept = np.empty(0)
    while len(kept) < count:
        drawn = rng.standard_normal(4 * count)
        kept = np.concatenate([kept, drawn[np.abs(drawn) <= 1]])
    return kept[:count]
