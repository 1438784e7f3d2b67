"""Choice of a detector's boxes that are people, by class."""

from collections.abc import Sequence

import numpy as np

from edge.types import Detections
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

PERSON = "person"


def person_labels(spec: ModelSpec, det_classes: Sequence[str] = ()) -> tuple[int, ...] | None:
    """Return the labels of people, None where every box is one.

    det_classes: names of the detector's classes that are people, in any case of letters; a string is one name.
    Without them: the class called person; the only class of a detector that has one; every box of a detector without
    class names.
    Raises InputError, with the detector's classes, where that leaves nothing to go by.
    """
    return _labels(spec.model, spec.classes or (), det_classes)


def people(
    found: Detections, classes: Sequence[str] | None, det_classes: Sequence[str] = ()
) -> Detections:
    """Return the boxes that are people, for loops without a Pipeline; classes: `detector.spec.classes`.

    det_classes and errors: as for a Pipeline.
    """
    return with_labels(found, _labels("the detector", classes or (), det_classes))


def _labels(
    detector: str, classes: Sequence[str], det_classes: Sequence[str]
) -> tuple[int, ...] | None:
    if isinstance(det_classes, str):
        det_classes = (det_classes,) if det_classes else ()
    plain = [name.strip().lower() for name in classes]
    wanted = [name.strip().lower() for name in det_classes]
    if unknown := [
        given for given, name in zip(det_classes, wanted, strict=True) if name not in plain
    ]:
        has = f"its classes are {_listed(classes)}" if classes else "its classes have no names"
        raise InputError(f"{detector}: no class {', '.join(unknown)}; {has}")
    if wanted:
        return tuple(label for label, name in enumerate(plain) if name in wanted)
    if len(classes) < 2:
        return None
    if PERSON not in plain:
        raise InputError(
            f"{detector}: no class is called person; say which are people with --det-classes "
            f"(det_classes= in Python), of {_listed(classes)}"
        )
    return tuple(label for label, name in enumerate(plain) if name == PERSON)


def with_labels(found: Detections, labels: tuple[int, ...] | None) -> Detections:
    """Return the boxes that have one of these labels; all of them for None."""
    return found if labels is None else found[np.isin(found.labels, labels)]


def parse_classes(text: str | None) -> tuple[str, ...]:
    """Split `player,referee`; nothing for None."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _listed(classes: Sequence[str]) -> str:
    shown = ", ".join(classes[:20])
    return shown if len(classes) <= 20 else f"{shown} ... ({len(classes)} in all)"
