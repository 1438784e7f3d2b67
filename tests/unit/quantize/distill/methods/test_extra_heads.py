"""Further heads on a shared backbone: joined outputs and keypoints, and the way back to one head."""

import json

import numpy as np
import pytest
import torch

from edge.schema import load_schema
from edge.synth import write_dataset
from export.registry import load_family
from quantize.distill.data.batches import SourceSlice
from quantize.distill.data.joined_keypoints import joined_keypoints
from quantize.distill.data.sources import load_training_set, with_shares
from quantize.distill.methods.extra_heads import add_heads, own_head
from quantize.distill.student import new_student, student_variant
from runtimes.errors import InputError

COCO, CROWD = load_schema("coco17"), load_schema("crowdpose14")
STUDENTS = ("vitpose-48x1x3-simple", "rtmpose-t")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory):
    """The same drawn people, labelled in COCO's keypoints, and as if in CrowdPose's."""
    path = write_dataset(tmp_path_factory.mktemp("heads") / "drawn", 7, 2)
    data = json.loads(path.read_text())
    data["categories"][0]["keypoints"] = CROWD.names
    for each in data["annotations"]:
        each["keypoints"] = each["keypoints"][: 3 * len(CROWD)]
    other = path.with_name("crowd.json")
    other.write_text(json.dumps(data))
    return str(path), str(other)


@pytest.mark.parametrize("name", STUDENTS)
def test_outputs_are_those_of_each_head_on_the_same_maps(name) -> None:
    variant = student_variant(name, (64, 96))
    module = new_student(variant, 0).eval()
    image = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        maps = module.backbone(image)
        own = module(image)
        add_heads(module, variant, [CROWD], seed=0)
        module.eval()
        joined, other = module(image), module.head.extra[0](maps)
    own, joined, other = (
        each if isinstance(each, tuple) else (each,) for each in (own, joined, other)
    )
    for alone, both, extra in zip(own, joined, other, strict=True):
        assert both.shape[1] == len(COCO) + len(CROWD)
        torch.testing.assert_close(both[:, : len(COCO)], alone)
        torch.testing.assert_close(both[:, len(COCO) :], extra)


def test_the_students_own_head_is_what_is_left() -> None:
    variant = student_variant(STUDENTS[0], (64, 96))
    module = new_student(variant, 0)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    add_heads(module, variant, [CROWD], seed=0)
    after = own_head(module.state_dict())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    load_family(variant.family).build(variant).load_state_dict(after)


def test_flips_stay_within_a_head() -> None:
    joined = joined_keypoints(COCO, [CROWD])
    order = joined.flip_order
    np.testing.assert_array_equal(order[: len(COCO)], COCO.flip_order)
    np.testing.assert_array_equal(order[len(COCO) :], len(COCO) + CROWD.flip_order)
    assert joined_keypoints(COCO, []) is COCO
    with pytest.raises(InputError, match="coco17: the student has this head already"):
        joined_keypoints(COCO, [COCO])


def test_people_are_labelled_in_the_head_of_their_set(annotations) -> None:
    own, other = annotations
    everyone = load_training_set([own, other], COCO, drawn=1, heads=[CROWD])
    first, second = everyone.slices
    plain = load_training_set([own], COCO, drawn=1).instances
    for place, person in enumerate(plain):
        in_coco = everyone.instances[first.first + place].keypoints
        in_crowd = everyone.instances[second.first + place].keypoints
        np.testing.assert_array_equal(in_coco[: len(COCO)], person.keypoints)
        assert not in_coco[len(COCO) :].any()
        assert not in_crowd[: len(COCO)].any()
        np.testing.assert_array_equal(in_crowd[len(COCO) :], person.keypoints[: len(CROWD)])


def test_a_head_without_data_is_refused(annotations) -> None:
    with pytest.raises(InputError, match="--extra-head crowdpose14: no --data has labels"):
        load_training_set([annotations[0]], COCO, drawn=1, heads=[CROWD])


def test_shares_are_of_an_epochs_samples() -> None:
    slices = [SourceSlice(0, 900, 1 / 3), SourceSlice(900, 90, 1 / 3), SourceSlice(990, 10, 1 / 3)]
    shared = with_shares(["a.json:33.3%", "b.json:33.3%", "c.json:33.3%"], slices)
    assert [round(each.count * each.weight) for each in shared] == [333, 333, 333]
    assert with_shares(["a.json:2", "b.json", "c.json"], slices) == tuple(slices)
    with pytest.raises(InputError, match=r"b\.json: other sources have a share in percent"):
        with_shares(["a.json:50%", "b.json", "c.json"], slices)
