"""Checks that a detector's outputs and its class names belong together."""

from edge.types import Detections, counted
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


def check_class_count(count: int, spec: ModelSpec) -> None:
    """Raise InputError where outputs have another number of classes than the spec names."""
    if spec.classes is not None and len(spec.classes) != count:
        raise InputError(
            f"{spec.model}: its outputs have {counted(count, 'class', 'classes')}, its spec names {len(spec.classes)}; "
            "correct classes, and import it again"
        )


def check_labels(found: Detections, spec: ModelSpec) -> Detections:
    """Return boxes whose graph chose the classes; raises InputError for a label that no class name belongs to.

    With one name all boxes are of that class: graphs count a single class from 0 or from 1.
    """
    top = int(found.labels.max(initial=-1))
    if spec.classes is not None and top >= len(spec.classes) > 1:
        raise InputError(
            f"{spec.model}: gives boxes of class {top}, counted from 0, its spec names {len(spec.classes)}; "
            "correct classes, and import it again"
        )
    return found
