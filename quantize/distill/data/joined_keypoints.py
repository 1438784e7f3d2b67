"""The keypoints of several heads as one set: those of the student, then those of each further head, named apart."""

from collections.abc import Sequence

from edge.catalog.keypoint_file import find_keypoints
from edge.schema import KeypointSchema
from runtimes.errors import InputError


def extra_heads(names: Sequence[str]) -> list[KeypointSchema]:
    """Return the keypoint sets of the further heads."""
    return [find_keypoints(name) for name in names]


def joined_keypoints(own: KeypointSchema, extra: Sequence[KeypointSchema]) -> KeypointSchema:
    """Return the joined set, whose names beyond the student's are `crowdpose14/left_shoulder`; `own` without others.

    Raises InputError where a set comes twice.
    """
    if not extra:
        return own
    names = [each.name for each in (own, *extra)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"--extra-head {', '.join(twice)}: the student has this head already; leave it out"
        )
    apart = (own, *map(named_apart, extra))
    pairs: list[tuple[int, int]] = []
    first = 0
    for each in apart:
        pairs += [(first + left, first + right) for left, right in each.left_right]
        first += len(each)
    return KeypointSchema(
        "+".join(names), tuple(name for each in apart for name in each.names), (), tuple(pairs)
    )


def named_apart(schema: KeypointSchema) -> KeypointSchema:
    """Return the set with its own name before each keypoint's, so that it is matched with its own head alone."""
    return KeypointSchema(
        schema.name,
        tuple(f"{schema.name}/{name}" for name in schema.names),
        schema.edges,
        schema.left_right,
        schema.sigmas,
    )
