"""Keypoint order of annotation files against a model's."""

import pytest

from edge.evaluation.coco import Category, GroundTruth
from edge.evaluation.keypoint_order import check_keypoint_order
from edge.schema import load_schema
from runtimes.errors import EdgeposeWarning, InputError

COCO = load_schema("coco17")


def truth(names: tuple[str, ...]) -> GroundTruth:
    categories = (Category(id=2, name="dog"), Category(id=1, name="person", keypoints=names))
    return GroundTruth(images=(), annotations=(), categories=categories, person=1)


@pytest.mark.parametrize(
    "names",
    [
        COCO.names,
        (),
        tuple(name.replace("_", " ").title() for name in COCO.names),
        COCO.names[:5],
    ],
    ids=["same", "none", "spelled otherwise", "fewer"],
)
def test_names_that_do_not_contradict_are_taken(names) -> None:
    check_keypoint_order(truth(names), COCO)


def test_another_order_is_refused_with_the_first_difference() -> None:
    names = list(COCO.names)
    names[3], names[4] = names[4], names[3]
    with pytest.raises(InputError, match="keypoint 3 is right_ear, the model's is left_ear"):
        check_keypoint_order(truth(tuple(names)), COCO)


def test_names_of_something_else_are_a_warning() -> None:
    with pytest.warns(EdgeposeWarning, match="wheel0.*nose.*by position"):
        check_keypoint_order(truth(tuple(f"wheel{n}" for n in range(17))), COCO)
