"""Keypoint sets of annotation files, by the names of their category, and their order against a model's."""

import pytest

from edge.evaluation.coco import Annotation, Category, GroundTruth
from edge.evaluation.keypoint_names import check_keypoint_order, with_keypoint_set
from edge.schema import SCHEMAS, KeypointSchema, load_schema
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


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (tuple(f"wheel{n}" for n in range(17)), "wheel0, .* of no known keypoint set"),
        (
            load_schema("ap10k17").names,
            "keypoints of ap10k17 .left_eye, .*the model those of coco17",
        ),
        (load_schema("aic14").names, "keypoints of aic14"),
    ],
    ids=["unknown", "animals", "fewer of another set"],
)
def test_other_keypoints_than_the_models_are_refused(names, said) -> None:
    with pytest.raises(InputError, match=said):
        check_keypoint_order(truth(names), COCO)


def labelled(names: tuple[str, ...], count: int, **parts: tuple[float, ...]) -> GroundTruth:
    """One person with `count` keypoints in a file whose category has these names."""
    person = Annotation(
        id=1,
        image_id=1,
        category_id=1,
        bbox=(0, 0, 9, 9),
        keypoints=(3.0, 4.0, 2.0) * count,
        **parts,
    )
    category = Category(id=1, name="person", keypoints=names)
    return GroundTruth(images=(), annotations=(person,), categories=(category,), person=1)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_known_set_is_recognised_by_its_names(name) -> None:
    names = load_schema(name).names
    _, found = with_keypoint_set(labelled(names, len(names)), COCO, "a.json")
    assert found.names == names
    spelled = tuple(each.replace("_", " ").title() for each in names)
    assert with_keypoint_set(labelled(spelled, len(names)), COCO, "a.json")[1].names == names


def test_a_set_of_ones_own_is_recognised() -> None:
    own = KeypointSchema("cups", ("rim", "handle"))
    assert with_keypoint_set(labelled(("Rim", "Handle"), 2), own, "a.json")[1] is own


def test_part_of_a_set_in_any_order_is_matched_by_name() -> None:
    _, found = with_keypoint_set(labelled(("rightKnee", "Nose", "l_hip"), 3), COCO, "a.json")
    assert found.names == ("right_knee", "nose", "left_hip")


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        (
            (*COCO.names[:12], "spout", "lid"),
            14,
            "nearest, coco17, has 12 of 14, without spout, lid",
        ),
        ((*COCO.names[:4], "forefinger1"), 5, "without forefinger1 of hand21: a mixture"),
        (("kp0", "kp1"), 2, "kp0, kp1 are of no known keypoint set .coco17, "),
        (
            tuple(f"face-{n}" for n in range(40)),
            40,
            "40 numbered keypoints are not those of face68",
        ),
        (("nose", "Nose"), 2, "names the keypoint Nose, nose twice"),
        (COCO.names, 14, "annotation 1 has 14 keypoints and its category names 17"),
        ((), 14, "annotation 1 has 14 keypoints and its category names none"),
    ],
    ids=["unknown", "mixture", "numbered", "part of a face", "twice", "fewer", "no names"],
)
def test_names_that_fit_no_known_set_are_refused_with_the_nearest(names, count, said) -> None:
    with pytest.raises(InputError, match=said):
        with_keypoint_set(labelled(names, count), COCO, "a.json")


def test_a_file_without_names_is_the_models_with_a_warning() -> None:
    with pytest.warns(EdgeposeWarning, match="taken to be those of coco17, nose, left_eye"):
        _, found = with_keypoint_set(labelled((), 17), COCO, "a.json")
    assert found is COCO


def test_cocos_whole_body_layout_becomes_133_keypoints() -> None:
    hand = tuple(float(n) for point in range(21) for n in (point, 50 + point, 1))
    truth, found = with_keypoint_set(
        labelled(COCO.names, 17, lefthand_kpts=hand), COCO, "wholebody.json"
    )
    assert found.name == "coco133"
    keypoints = truth.annotations[0].keypoints
    place = found.names.index("left_hand_root")
    assert keypoints[: 3 * 17] == (3.0, 4.0, 2.0) * 17
    assert keypoints[3 * place : 3 * (place + 21)] == hand
    assert sum(v > 0 for v in keypoints[2::3]) == 17 + 21
