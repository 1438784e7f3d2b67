"""Further heads on a shared backbone: joined outputs and keypoints, and the way back to one head."""

import copy
import json

import numpy as np
import pytest
import torch

from edge.schema import load_schema
from edge.synth import write_dataset
from export.registry import load_family
from export.torch_session import normalise
from quantize.distill.assembly import Supervision, assemble
from quantize.distill.config import DistillConfig
from quantize.distill.data.batches import Batch, SourceSlice
from quantize.distill.data.joined_keypoints import joined_keypoints
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.data.sources import load_training_set, with_shares
from quantize.distill.methods.extra_heads import add_heads, own_head, rows_of_heads
from quantize.distill.pose_task import PoseTask
from quantize.distill.student import new_student, student_spec, student_variant
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
    with pytest.raises(InputError, match=r"b\.json:1e12: 90 samples, each 1e\+12 times"):
        with_shares(
            ["a.json", "b.json:1e12", "c.json"], [slices[0], SourceSlice(900, 90, 1e12), slices[2]]
        )
    with pytest.raises(InputError, match=r"b\.json: other sources have a share in percent"):
        with_shares(["a.json:50%", "b.json", "c.json"], slices)


def _assembled(name, weights):
    """Return a student of two heads in training, its task, and a batch with these labels (B, 17 + 14)."""
    config = DistillConfig(
        student=name, methods=("none",), extra_head=("crowdpose14",), deep_supervision=0.01
    )
    variant = student_variant(name, (64, 96))
    joined = joined_keypoints(COCO, [CROWD])
    student = assemble(config, variant, joined, Supervision(labelled=True))
    task = PoseTask(student_spec(variant, "-").image, student.losses, student.route)
    rng, count = np.random.default_rng(0), len(weights)
    batch = Batch(
        torch.from_numpy(rng.integers(0, 256, (count, 96, 64, 3), np.uint8)),
        torch.from_numpy(rng.uniform(0, 64, (count, len(joined), 2)).astype(np.float32)),
        torch.from_numpy(np.asarray(weights, np.float32)),
        (),
        tuple(range(count)),
        (False,) * count,
    )
    return student.module, task, batch


def _labels(*sets):
    """Return weights of people labelled in the first head's keypoints (0) or the second's (1)."""
    return [[1.0 - each] * len(COCO) + [float(each)] * len(CROWD) for each in sets]


def _buffers(head):
    return {name: value.clone() for name, value in head.named_buffers()}


@pytest.mark.parametrize("name", ["vitpose-48x1x3", "cspnext-t"])
def test_a_heads_batch_norms_see_the_crops_of_its_own_set_alone(name) -> None:
    module, task, batch = _assembled(name, _labels(0, 1, 1, 0, 1))
    alone = copy.deepcopy(module)
    with torch.no_grad():
        maps = alone.backbone(normalise(batch.images, task.image))
        maps = maps if isinstance(maps, tuple) else (maps,)
        for head, rows in ((alone.head.own, [0, 3]), (alone.head.extra[0], [1, 2, 4])):
            own = tuple(each[rows] for each in maps)
            head(own if len(own) > 1 else own[0])
    sum(task.losses(module, batch, 0.0).values()).backward()
    wanted, trained = _buffers(alone.head), _buffers(module.head)
    assert any("running_mean" in each for each in wanted)
    for each, value in wanted.items():
        torch.testing.assert_close(trained[each], value, msg=each)
    assert all(each.grad is not None and each.grad.any() for each in module.head.parameters())


@pytest.mark.parametrize("name", ["vitpose-48x1x3", "cspnext-t-fpn", "rtmpose-t"])
def test_a_head_without_a_crop_in_the_batch_stays_as_it_is(name) -> None:
    module, task, batch = _assembled(name, _labels(0, 0))
    before = _buffers(module.head.extra)
    sum(task.losses(module, batch, 0.0).values()).backward()
    assert all(
        torch.equal(before[each], value) for each, value in _buffers(module.head.extra).items()
    )
    for each in module.head.extra.parameters():
        assert each.grad is not None  # processes exchange it
        assert not each.grad.any()
    assert all(each.training for each in module.modules())


def test_a_teacher_of_a_heads_keypoints_gives_it_every_crop() -> None:
    module, _, batch = _assembled("cspnext-t-fpn", _labels(0, 1))
    joined = joined_keypoints(COCO, [CROWD])
    known = map_keypoints(COCO, joined).known
    rows_of_heads(module.head, joined, [CROWD], known).choose(batch)
    own, other = module.head.rows
    assert own is None
    assert other.tolist() == [1]
