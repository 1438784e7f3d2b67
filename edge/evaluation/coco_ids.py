"""Ids of COCO files that occur twice: copies are dropped, people who share an id are told apart."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edge.evaluation.coco import Annotation, CocoImage, Id
from runtimes.errors import InputError


def distinct_images(path: str | Path, images: Iterable[CocoImage]) -> dict[Id, CocoImage]:
    """Return the images by id, copies once; raises InputError for two images of one id: whose are its annotations?"""
    known: dict[Id, CocoImage] = {}
    for image in images:
        first = known.setdefault(image.id, image)
        if first != image:
            raise InputError(
                f"{path}: image id {image.id} occurs twice, as {first.file_name} and {image.file_name}; "
                "ids must be unique"
            )
    return known


def distinct_annotations(
    annotations: Iterable[Annotation], counts: Counter[str]
) -> tuple[Annotation, ...]:
    """Return the annotations without copies, each under an id of its own, and count what was changed.

    Merged files repeat ids: pycocotools would count the last annotation of an id as often as the id occurs.
    """
    known: dict[Id, list[Annotation]] = {}
    kept = []
    for each in annotations:
        same = known.setdefault(each.id, [])
        if each in same:
            counts["copy"] += 1
            continue
        same.append(each)
        if len(same) == 1:
            kept.append(each)
            continue
        counts["shared id"] += 1
        kept.append(msgspec.structs.replace(each, id=f"{each.id}#{len(same)}"))
    return tuple(kept)
