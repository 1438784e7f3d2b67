"""COCO-WholeBody parts and CrowdPose levels as ordinary keypoint evaluations.

Protocol: xtcocotools (github.com/jin-s13/xtcocoapi), the reference evaluator of both.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec

from edge.evaluation.average_precision import Results
from edge.evaluation.coco import (
    Annotation,
    CocoResult,
    GroundTruth,
    Id,
    WholeBody,
    as_results,
    extent_xywh,
)
from runtimes.errors import InputError

Part = Literal["body", "foot", "face", "lefthand", "righthand", "all"]
Level = Literal["easy", "medium", "hard"]

# Each part's slice of the 133 keypoints, its fields in the files, and the field of its own score in results.
_SLICES: dict[Part, slice] = {
    "body": slice(0, 17),
    "foot": slice(17, 23),
    "face": slice(23, 91),
    "lefthand": slice(91, 112),
    "righthand": slice(112, 133),
    "all": slice(0, 133),
}
_FIELDS: dict[Part, tuple[str, ...]] = {
    "body": ("keypoints",),
    "foot": ("foot_kpts",),
    "face": ("face_kpts",),
    "lefthand": ("lefthand_kpts",),
    "righthand": ("righthand_kpts",),
    "all": ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts"),
}
_SCORES: dict[Part, str] = {
    "body": "score",
    "foot": "foot_score",
    "face": "face_score",
    "lefthand": "lefthand_score",
    "righthand": "righthand_score",
    "all": "wholebody_score",
}
# Crowd indices: easy images are below the first, hard ones from the second on.
_EASY_BELOW, _HARD_FROM = 0.2, 0.8

PARTS: tuple[Part, ...] = get_args(Part)
LEVELS: tuple[Level, ...] = get_args(Level)
WHOLE_BODY = "coco133"  # the keypoint set


def part_sigmas(sigmas: Sequence[float], part: Part) -> tuple[float, ...]:
    """Return the part's sigmas out of coco133's."""
    return tuple(sigmas[_SLICES[part]])


def part_truth(truth: GroundTruth, part: Part) -> GroundTruth:
    """Return ground truth whose `keypoints` are the part's; people without any of them labelled do not count.

    Takes COCO-WholeBody files, or all 133 keypoints in `keypoints`; raises InputError for any other file.
    """
    annotations = truth.annotations
    if has_parts(truth) or any(_is_complete(each) for each in annotations):
        annotations = tuple(_padded(each) for each in annotations)
    return msgspec.structs.replace(
        truth,
        annotations=tuple(
            msgspec.structs.replace(each, keypoints=_triplets(each, part)) for each in annotations
        ),
    )


def part_results(results: Results, part: Part) -> list[CocoResult]:
    """Return results whose `keypoints` are the part's, without those that have none of them.

    bbox: the result's own, or else around its body: the size is the person's, not the hand's.
    """
    found = []
    for each in as_results(results):
        keypoints = _triplets(each, part)
        if any(score > 0 for score in keypoints[2::3]):
            own_score = getattr(each, _SCORES[part])
            found.append(
                msgspec.structs.replace(
                    each,
                    keypoints=keypoints,
                    score=each.score if own_score is None else own_score,
                    bbox=each.bbox or extent_xywh(_triplets(each, "body")),
                )
            )
    return found


def part_fields(result: CocoResult) -> dict[str, tuple[float, ...]]:
    """Return the five keypoint fields of a result that has all 133 keypoints in one; nothing for any other."""
    if len(result.keypoints) != 3 * _SLICES["all"].stop:
        return {}
    return {_FIELDS[part][0]: _triplets(result, part) for part in PARTS if part != "all"}


def has_parts(truth: GroundTruth) -> bool:
    """Whether people have the fields of COCO-WholeBody: feet, face or hands."""
    return any(getattr(each, name) for each in truth.people for name in _FIELDS["all"][1:])


def is_crowdpose(truth: GroundTruth) -> bool:
    """Whether every image has a crowd index, as in CrowdPose."""
    return bool(truth.images) and all(each.crowd_index is not None for each in truth.images)


def crowd_truth(truth: GroundTruth) -> GroundTruth:
    """Return CrowdPose's ground truth with people ignored whose `num_keypoints` is 0.

    CrowdPose counts there the keypoints that are seen (v = 2), so that people whose labels are all hidden (v = 1) are
    not expected.
    """
    return msgspec.structs.replace(
        truth,
        annotations=tuple(
            msgspec.structs.replace(each, ignore=True) if each.num_keypoints == 0 else each
            for each in truth.annotations
        ),
    )


def crowd_level(truth: GroundTruth, level: Level) -> list[Id]:
    """Return the ids of CrowdPose's easy, medium or hard images; raises InputError without crowd indices."""
    bounds = {
        "easy": (-1.0, _EASY_BELOW),
        "medium": (_EASY_BELOW, _HARD_FROM),
        "hard": (_HARD_FROM, 2.0),
    }
    low, high = bounds[level]
    ids = []
    for image in truth.images:
        if image.crowd_index is None:
            raise InputError(
                f"image {image.file_name} has no crowdIndex; is this a CrowdPose file?"
            )
        if low <= image.crowd_index < high:
            ids.append(image.id)
    return ids


def _is_complete(record: WholeBody) -> bool:
    """Whether a person has the fields of a whole body."""
    return len(record.keypoints) == 3 * _SLICES["all"].stop or all(
        getattr(record, name) for name in _FIELDS["all"]
    )


def _padded(person: Annotation) -> Annotation:
    """Return a person whose missing fields are unlabelled keypoints."""
    if _is_complete(person):
        return person
    sizes = {
        _FIELDS[part][0]: _SLICES[part].stop - _SLICES[part].start
        for part in PARTS
        if part != "all"
    }
    missing = {
        name: (0.0,) * (3 * size) for name, size in sizes.items() if not getattr(person, name)
    }
    return msgspec.structs.replace(person, **missing)


def _triplets(record: WholeBody, part: Part) -> tuple[float, ...]:
    where = _SLICES[part]
    if len(record.keypoints) == 3 * _SLICES["all"].stop:
        return record.keypoints[3 * where.start : 3 * where.stop]
    values: tuple[float, ...] = sum((getattr(record, name) for name in _FIELDS[part]), ())
    if len(values) != 3 * (where.stop - where.start):
        kind = "annotation" if isinstance(record, Annotation) else "result"
        raise InputError(
            f"{kind} of a person has {len(values)} values for {part}, "
            f"not {3 * (where.stop - where.start)}; COCO-WholeBody needs all 133 keypoints"
        )
    return values
