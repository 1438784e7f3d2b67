"""Comparison of the keypoint names of a COCO category with a model's: results are scored by position."""

import re

from edge.evaluation.coco import GroundTruth
from edge.schema import KeypointSchema
from runtimes.errors import InputError, warn


def check_keypoint_order(truth: GroundTruth, schema: KeypointSchema) -> None:
    """Raise InputError where the annotations have the model's keypoints in another order.

    Files without names are taken as they are. Names that are not the model's in any order are too, since COCO files
    spell names in many ways; where none of them is the model's, a warning says so.
    """
    person = (each for each in truth.categories if each.id == truth.person)
    theirs = [_plain(name) for category in person for name in category.keypoints]
    ours = [_plain(name) for name in schema.names]
    if len(theirs) == len(ours) and not set(theirs) & set(ours):
        warn(
            f"the annotations name keypoints {theirs[0]}, ...; {schema.name} has {ours[0]}, ...: "
            "they are compared by position"
        )
    if theirs == ours or sorted(theirs) != sorted(ours):
        return
    place = next(n for n, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    raise InputError(
        f"the annotations have the keypoints of {schema.name} in another order: keypoint {place} is {theirs[place]}, "
        f"the model's is {ours[place]}; reorder them in the annotation file"
    )


def _plain(name: str) -> str:
    """Return a name without case, spaces and dashes."""
    return re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
