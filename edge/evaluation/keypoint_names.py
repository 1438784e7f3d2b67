"""Keypoint sets of COCO files, recognised by the keypoint names in their category of people, never by their number.

AI Challenger and CrowdPose have 14 keypoints each, COCO and AP-10K 17: counted, they would be taken for each other.
"""

import re
from collections.abc import Sequence

from edge.evaluation.coco import GroundTruth
from edge.evaluation.wholebody import WHOLE_BODY, has_parts, part_truth
from edge.schema import SCHEMAS, KeypointSchema, canonical_names, load_schema
from runtimes.errors import InputError, warn

BODY = "coco17"  # what the category of a COCO-WholeBody file names
REMEDY = "correct the names, or give the keypoint set as SCHEMA.json with --keypoints"


def with_keypoint_set(
    truth: GroundTruth, preferred: KeypointSchema, path: str
) -> tuple[GroundTruth, KeypointSchema]:
    """Return ground truth whose `keypoints` are all of its keypoints, and the set that they are of.

    preferred: the set of the model at hand, which may be the user's own; a file without names is taken to be of it,
    with a warning, if its people have as many keypoints. COCO-WholeBody's files become coco133, whose other parts are
    in fields of their own. Part of a known set, in any order, is a set of its own, to be matched by name. Raises
    InputError for names that no known set has together, and for people with more or fewer keypoints than names.
    """
    names = person_names(truth)
    body = canonical_names(load_schema(BODY).names)
    if has_parts(truth) and canonical_names(names) in {(), body}:
        return part_truth(truth, "all"), load_schema(WHOLE_BODY)
    schema = schema_of_names(names, preferred, path) if names else preferred
    for each in truth.people:
        count = len(each.keypoints) // 3
        if each.labelled and count != len(schema):
            named = f"its category names {len(names)}" if names else "its category names none"
            raise InputError(
                f"{path}: annotation {each.id} has {count} keypoints and {named}; list the names of all {count}, in "
                'order, as "keypoints" of the category'
            )
    if not names and any(each.labelled for each in truth.people):
        warn(
            f'{path}: its category of people has no "keypoints": they are taken to be those of {schema.name}, '
            f"{schema.names[0]}, {schema.names[1]}, ..., in this order"
        )
    return truth, schema


def check_keypoint_order(truth: GroundTruth, schema: KeypointSchema) -> None:
    """Raise InputError where the annotations name other keypoints than the model's, or the same in another order.

    Results are scored by position. Files without names, and those that name the first keypoints only, are taken.
    """
    names = person_names(truth)
    theirs, ours = canonical_names(names), canonical_names(schema.names)
    body = canonical_names(load_schema(BODY).names)
    whole_body = schema.name == WHOLE_BODY and theirs == body and has_parts(truth)
    if whole_body or theirs == ours[: len(theirs)]:
        return
    if sorted(theirs) == sorted(ours):
        place = next(n for n, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
        raise InputError(
            f"the annotations have the keypoints of {schema.name} in another order: keypoint {place} is "
            f"{names[place]}, the model's is {schema.names[place]}; reorder them in the annotation file"
        )
    counts = {len(each.keypoints) // 3 for each in truth.people if each.labelled}
    if counts == {len(ours)} != {len(theirs)}:
        warn(
            f"the category names {len(theirs)} keypoints and its people have {len(ours)}, as {schema.name} has: they "
            "are compared by position"
        )
        return
    found = schema_of_names(names, schema, "the annotations")
    raise InputError(
        f"the annotations have the keypoints of {found.name} ({', '.join(names[:3])}, ...), the model those of "
        f"{schema.name} ({', '.join(schema.names[:3])}, ...); evaluate on annotations of {schema.name}"
    )


def person_names(truth: GroundTruth) -> tuple[str, ...]:
    """Return the keypoint names of the category of people, as the file spells them; empty where it has none."""
    return next((each.keypoints for each in truth.categories if each.id == truth.person), ())


def schema_of_names(names: Sequence[str], preferred: KeypointSchema, path: str) -> KeypointSchema:
    """Return the set with these keypoints in this order, else one made of the known set that has all of them.

    Raises InputError, listing the keypoints that do not fit and the nearest set.
    """
    known = [preferred, *map(load_schema, SCHEMAS)]
    plain = canonical_names(names)
    twice = sorted({name for name, each in zip(names, plain, strict=True) if plain.count(each) > 1})
    if twice:
        raise InputError(
            f"{path}: the category names the keypoint {', '.join(twice)} twice; {REMEDY}"
        )
    same = next((each for each in known if canonical_names(each.names) == plain), None)
    if same is not None:
        return same
    nearest = max(known, key=lambda each: (_shared(plain, each), -len(each)))
    # face-7 is another point in each set of faces
    numbered = any(re.fullmatch(r"(face|kp)\d+", each) for each in plain)
    if _shared(plain, nearest) == len(plain) and not numbered:
        ours = dict(zip(canonical_names(nearest.names), nearest.names, strict=True))
        return KeypointSchema(f"part of {nearest.name}", tuple(ours[each] for each in plain))
    raise InputError(f"{path}: {_misfit(names, plain, nearest)}; {REMEDY}")


def _shared(plain: Sequence[str], schema: KeypointSchema) -> int:
    return len(set(plain) & set(canonical_names(schema.names)))


def _misfit(names: Sequence[str], plain: Sequence[str], nearest: KeypointSchema) -> str:
    """Return which names do not fit the nearest set, and which other set has them, in words."""
    theirs = set(canonical_names(nearest.names))
    alien = [name for name, each in zip(names, plain, strict=True) if each not in theirs]
    if not alien:
        return f"{len(names)} numbered keypoints are not those of {nearest.name}, the nearest set"
    listed = f"{', '.join(alien[:6])}{f' and {len(alien) - 6} more' if len(alien) > 6 else ''}"
    if len(alien) == len(names):
        return f"keypoints {listed} are of no known keypoint set ({', '.join(SCHEMAS)})"
    rest = set(canonical_names(alien))
    other = next(
        (each for each in SCHEMAS if rest <= set(canonical_names(load_schema(each).names))), None
    )
    mixed = f"{listed} of {other}: a mixture" if other else listed
    return (
        f"its keypoints fit no known set; the nearest, {nearest.name}, has {len(names) - len(alien)} of {len(names)}, "
        f"without {mixed}"
    )
