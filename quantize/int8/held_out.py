"""Images that judge int8: the report set, and for detectors drawn pictures until the parent finds enough boxes."""

from dataclasses import dataclass

import numpy as np

from edge.parity.boxes import MIN_BOXES, strong_boxes
from edge.parity.reference import Reference
from export.inputs import drawn_inputs
from quantize.int8.calibration import Sets
from quantize.int8.gate import float_reference
from runtimes.artifact import Artifact

# Drawn pictures are added so many at a time, and no more than MOST: a detector may find no people in them.
STEP, MOST = 32, 256
DRAWN_SEED = 9_000_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The float parent's outputs on the images that judge, and where those came from, in words."""

    reference: Reference
    label: str


def held_out(parent: Artifact, sets: Sets) -> HeldOut:
    """Run the float parent on the report set; detectors that find too few boxes there also see drawn pictures."""
    label = f"{sets.source}, {len(sets.report)} held out"
    reference = float_reference(parent, sets.report)
    missing = MIN_BOXES - _count(reference)
    if not parent.manifest.is_detector or missing <= 0:
        return HeldOut(reference, label)
    images = [sets.report]
    for seed in range(DRAWN_SEED, DRAWN_SEED + MOST // STEP):
        images.append(drawn_inputs(parent.manifest, STEP, seed).images)
        missing -= _count(float_reference(parent, images[-1]))
        if missing <= 0:
            break
    everything = np.concatenate(images)
    drawn = len(everything) - len(sets.report)
    return HeldOut(float_reference(parent, everything), f"{label}, and {drawn} drawn")


def _count(reference: Reference) -> int:
    """Return how many of the reference's boxes must be matched."""
    return sum(len(boxes) for boxes in strong_boxes(reference.boxes).values())
