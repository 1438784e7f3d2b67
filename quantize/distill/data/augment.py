"""How a training view differs from the deployed one: mirrored, moved, scaled, turned, or of half a body.

Every draw comes from the generator given, so that a sample is the same in one process as in many.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.schema import KeypointSchema
from edge.types import F32
from quantize.distill.data.crop_view import View

# AlphaPose fitted these to the boxes of a detector: the mean and deviation of each edge, in box sides (left, top,
# right, bottom), and how often the box is merely cut smaller instead, down to this share of its sides.
EDGE_MEANS = np.array((-0.0142, 0.0043, 0.0154, -0.0013))
EDGE_DEVIATIONS = np.array((0.1158, 0.068, 0.1337, 0.0711))
CUT_SHARE, CUT_SMALLEST = 0.15, 0.85
# Half bodies: those with this many points seen, drawn around a random half when it shows this many.
HALF_BODY_SEEN, HALF_BODY_LEAST = 8, 2
HALF_BODY_PADDING = 1.5
FIRST_LOWER_POINTS = ("hip", "knee", "ankle", "toe", "heel", "foot")


@dataclass(frozen=True, slots=True)
class Strength:
    """How far views stray. `shift` is in box sides, `scale` the smallest and largest factor, `turn_deg` the farthest.

    Shares are of all samples: `mirror`, `half_body`, `turned` (the others are upright), `blurred` and `cutout`.
    `jitter`: "none", or "detector" for boxes as a detector might have drawn them (AlphaPose).
    `hsv` is how far hue, saturation and value stray, on OpenCV's 0..180 and 0..255 scales.
    """

    scale: tuple[float, float] = (0.75, 1.25)
    turn_deg: float = 60.0
    turned: float = 0.6
    shift: float = 0.0
    mirror: float = 0.5
    half_body: float = 0.3
    jitter: str = "none"
    hsv: tuple[float, float, float] = (5.0, 30.0, 30.0)
    blurred: float = 0.1
    cutout: float = 0.5


# RTMPose's two stages (arXiv:2303.07399): strong first, weak for the last of the training.
STRONG = Strength(scale=(0.6, 1.4), turn_deg=80.0, shift=0.16, cutout=1.0)
WEAK = Strength()
# For cameras that see people upright and whole, as a robot's or a kiosk's does: easier, and sooner learned.
GENTLE = Strength((0.8, 1.25), 30.0, 0.3, 0.05, 0.5, 0.1, "none", (5.0, 30.0, 30.0), 0.1, 0.0)
AT_REST = Strength((1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, "none", (0.0, 0.0, 0.0), 0.0, 0.0)


def stray(
    view: View,
    keypoints: F32,
    schema: KeypointSchema,
    strength: Strength,
    rng: np.random.Generator,
) -> View:
    """Return a training view near `view`. keypoints: float32 (K, 3) in frame pixels, (x, y, visibility).

    Order and laws are those of mmpose: half body, then shift, scale and turn from a normal law cut off at its limits.
    """
    mirrored = rng.random() < strength.mirror
    if rng.random() < strength.half_body:
        view = half_body(view, keypoints, schema, rng)
    shift = _cut_normal(rng, 2) * strength.shift
    low, high = strength.scale
    factor = (low + high) / 2 + float(_cut_normal(rng, 1)[0]) * (high - low) / 2
    turn = float(_cut_normal(rng, 1)[0]) * strength.turn_deg
    turn *= rng.random() < strength.turned
    centre = np.array(view.centre) + shift * np.array(view.size)
    size = np.array(view.size) * factor
    return View(
        (float(centre[0]), float(centre[1])), (float(size[0]), float(size[1])), turn, mirrored
    )


def half_body(view: View, keypoints: F32, schema: KeypointSchema, rng: np.random.Generator) -> View:
    """Return a view of the upper or the lower half, where enough of the body is seen; else the view itself."""
    seen = keypoints[:, 2] > 0
    if seen.sum() < HALF_BODY_SEEN:
        return view
    lower = np.array([any(part in name for part in FIRST_LOWER_POINTS) for name in schema.names])
    halves = [seen & lower, seen & ~lower]
    first = int(rng.random() < 0.7)  # the upper one more often: it is what cameras near people see
    chosen = next(
        (half for half in (halves[first], halves[1 - first]) if half.sum() > HALF_BODY_LEAST), None
    )
    if chosen is None:
        return view
    points = keypoints[chosen, :2].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = points.mean(axis=0)
    size = np.maximum((high - low) * HALF_BODY_PADDING, 1.0)
    return replace(
        view,
        centre=(float(centre[0]), float(centre[1])),
        size=(float(size[0]), float(size[1])),
    )


def as_detected(box: F32, rng: np.random.Generator) -> F32:
    """Return a box float32 (4,) xyxy as a detector might have drawn it: part-guided proposals, arXiv:2211.03375."""
    left, top, right, bottom = box.astype(np.float64)
    sides = np.array((right - left, bottom - top))
    if rng.random() < CUT_SHARE:
        share = rng.uniform(CUT_SMALLEST, 1.0)
        corner = np.array((left, top)) + rng.random(2) * sides * (1 - share)
        return np.concatenate([corner, corner + sides * share]).astype(np.float32)
    moved = box + rng.normal(EDGE_MEANS, EDGE_DEVIATIONS) * np.tile(sides, 2)
    moved[2:] = np.maximum(moved[2:], moved[:2] + 1.0)
    detected: F32 = moved.astype(np.float32)
    return detected


def _cut_normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw from a normal law of deviation 1 cut off at -1 and 1 (mmpose's truncnorm)."""
    kept = np.empty(0)
    while len(kept) < count:
        drawn = rng.standard_normal(4 * count)
        kept = np.concatenate([kept, drawn[np.abs(drawn) <= 1]])
    return kept[:count]
