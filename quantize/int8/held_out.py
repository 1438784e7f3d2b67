"""Held-out images that judge int8: for detectors with drawn ones added, until the float parent finds enough boxes."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.codecs import decode_boxes
from edge.parity.boxes import MIN_BOXES, strong_boxes
from edge.parity.reference import Reference, make_reference
from edge.parity.verify import join_outputs
from edge.synth import iterate_crops
from export.inputs import photo_inputs
from quantize.int8.calibration import ImageSets, pixel_hash
from quantize.int8.gate import float_reference, run_artifact
from runtimes.artifact import Artifact
from runtimes.base import Outputs
from runtimes.spec import ModelSpec

# Drawn images are added in steps, up to MOST: a detector may find no people in them.
STEP, MOST = 32, 256
DRAWN_SEED = 9_000_000


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The float parent's outputs on the held-out images, and their origin in words."""

    reference: Reference
    label: str


def held_out_reference(parent: Artifact, sets: ImageSets) -> HeldOut:
    """Run the float parent on the held-out set and, if it is a detector, on drawn images until there are MIN_BOXES.

    Boxes count that score at least BOX_SCORE. At most MOST images are drawn, none of which is in `sets`.
    """
    spec = parent.manifest
    label = f"{sets.source}, {len(sets.held_out)} held out"
    if not spec.is_detector:
        return HeldOut(float_reference(parent, sets.held_out), label)
    images, parts = [sets.held_out], [run_artifact(parent, sets.held_out)[0]]
    steps = _drawn_steps(spec, sets)
    while _count_boxes(parts, spec) < MIN_BOXES and (drawn := next(steps, None)) is not None:
        images.append(drawn)
        parts.append(run_artifact(parent, drawn)[0])
    joined = np.concatenate(images)
    if (added := len(joined) - len(sets.held_out)) > 0:
        label = f"{label}, and {added} drawn"
    outputs = join_outputs(parts)
    return HeldOut(make_reference(joined, outputs, spec, f"artifact {parent.name}"), label)


def _drawn_steps(spec: ModelSpec, sets: ImageSets) -> Iterator[NDArray[np.uint8]]:
    """Yield drawn inputs uint8 (STEP, H, W, 3) that are in none of the sets, MOST images in all."""
    every = itertools.chain(sets.calibration, sets.search, sets.held_out)
    used = {pixel_hash(image) for image in every}
    drawn = (photo_inputs(spec, [crop], "").images[0] for crop in iterate_crops(DRAWN_SEED))
    fresh = (image for image in drawn if pixel_hash(image) not in used)
    for _ in range(MOST // STEP):
        yield np.stack(list(itertools.islice(fresh, STEP)))


def _count_boxes(parts: Sequence[Outputs], spec: ModelSpec) -> int:
    """Return the number of boxes that must be matched."""
    strong = [strong_boxes(decode_boxes(part, spec)) for part in parts]
    return sum(len(boxes) for each in strong for boxes in each.values())
