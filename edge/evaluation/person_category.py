"""The category of people in a COCO file: the one asked for, else `person`, else the only one that has keypoints."""

from collections.abc import Collection, Sequence
from pathlib import Path

from edge.evaluation.coco import PERSON, Category, Id
from runtimes.errors import InputError

NAME = "person"


def person_category(
    path: str | Path,
    categories: Sequence[Category],
    used: Collection[Id],
    with_keypoints: Collection[Id],
    wanted: str | None = None,
) -> Id:
    """Return the id of the category of people.

    categories: those the file lists; used: those of its annotations; with_keypoints: those of annotations with a
    keypoint; wanted: a name in any case, or an id. Raises InputError, listing the categories, where
    none can be determined.
    """
    known = categories or [Category(id=each) for each in used]
    if wanted is not None:
        found = [each.id for each in known if wanted.casefold() in _spellings(each)]
        remedy = "choose one of them with --category NAME"
        if len(found) != 1:
            raise InputError(f"{path}: no category {wanted!r}: {_listed(known)}; {remedy}")
        return found[0]
    if not known:
        return PERSON
    choices = (
        [each.id for each in known if each.name == NAME],
        [each.id for each in known if each.name.strip().casefold() == NAME],
        [each.id for each in known if each.keypoints],
        [each.id for each in known if each.id in with_keypoints],
        [each.id for each in known if not each.name],
    )
    chosen = next((ids[0] for ids in choices if len(ids) == 1), None)
    if chosen is None:
        raise InputError(
            f"{path}: cannot determine the category of people: of {_listed(known)}, none is named person, and not "
            "exactly one has keypoints; choose it with --category NAME"
        )
    return chosen


def check_used(
    path: str | Path, categories: Sequence[Category], used: Collection[Id], person: Id
) -> None:
    """Raise InputError where no annotation is of people and some are of categories that the file does not list."""
    unlisted = sorted({str(each) for each in used} - {str(each.id) for each in categories})
    if categories and unlisted and person not in used:
        raise InputError(
            f"{path}: no annotation is of category {person}, and some are of {', '.join(unlisted[:8])}, which the file "
            f"does not list: {_listed(categories)}; correct the category ids"
        )


def _spellings(category: Category) -> tuple[str, str]:
    return category.name.strip().casefold(), str(category.id).casefold()


def _listed(categories: Sequence[Category]) -> str:
    texts = [f"{each.id} {each.name[:40]}".strip() for each in categories[:12]]
    more = f" and {len(categories) - 12} more" if len(categories) > 12 else ""
    return f"{', '.join(texts)}{more}" or "no categories"
