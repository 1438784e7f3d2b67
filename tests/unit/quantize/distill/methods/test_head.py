"""Head distillation: the backbone stays the teacher's to the bit, and only the student itself may teach."""

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from export.torch_session import normalise  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule, parameter_groups  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import new_train_state  # noqa: E402
from quantize.distill.methods.head import fresh_head, head_losses  # noqa: E402
from quantize.distill.pose_task import PoseTask  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402
from quantize.distill.teachers.teacher import Teacher  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

WH = (64, 64)
NAMES = ["rtmpose-t", "vitpose-32x2x2", "vitpose-32x2x2-simple"]
RATES = LrSchedule(lr=1e-2, warmup_steps=1)


def states(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_backbone_stays_as_it_was(teacher_of, batch_of, tmp_path: Path, name) -> None:
    """Through the real loop: weights and norms' statistics of the backbone to the bit, in the average as well."""
    teacher = teacher_of(name, WH)
    old = states(teacher.module)
    state = new_train_state(fresh_head(teacher, student_variant(name, WH), 1), RATES)
    fresh = states(state.module)
    steps: list = []
    train(
        Fabric(accelerator="cpu", devices=1),
        state,
        PoseTask(teacher.spec.image, head_losses(teacher, teacher.spec)),
        (batch_of(WH, seed) for seed in range(4)),
        TrainSettings(4, RATES),
        tmp_path,
        steps.append,
    )
    for tensors in (states(state.module), state.average.state):
        for key, value in tensors.items():
            if key.startswith("backbone."):
                assert torch.equal(value, old[key]), key
    after = states(state.module)
    assert any(not torch.equal(after[key], fresh[key]) for key in fresh if "head" in key)
    assert all(torch.equal(value, old[key]) for key, value in states(teacher.module).items())
    assert [set(step.losses) for step in steps] == [{"head"}] * 4
    bare = new_student(student_variant(name, WH), 5)
    bare.load_state_dict(state.module.state_dict(), strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_a_head_of_its_own(teacher_of, name) -> None:
    teacher = teacher_of(name, WH)
    first, again, other = (fresh_head(teacher, student_variant(name, WH), s) for s in (1, 1, 2))
    weights = [each.head.final_layer.weight for each in (first, again, other, teacher.module)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    learnt = [p for group in parameter_groups(first, RATES) for p in group["params"]]
    assert {id(p) for p in learnt} == {id(p) for p in first.head.parameters()}


@pytest.mark.parametrize("name", NAMES)
def test_the_old_head_costs_nothing(teacher_of, batch_of, name) -> None:
    teacher, batch = teacher_of(name, WH), batch_of(WH)
    (part,) = head_losses(teacher, teacher.spec).values()
    module = fresh_head(teacher, student_variant(name, WH), 1)
    pixels = normalise(batch.images, teacher.spec.image)
    cost = part.loss(module(pixels), batch)
    cost.backward()
    assert cost.item() > 0
    assert all(each.grad is None for each in module.backbone.parameters())
    assert module.head.final_layer.weight.grad.abs().max() > 0
    module.head.load_state_dict(teacher.module.head.state_dict())
    assert part.loss(module.eval()(pixels), batch).item() == pytest.approx(0, abs=1e-9)
    assert (part.weight_at(0), part.weight_at(1)) == (1, 1)


def test_training_mode_stops_at_the_backbone(teacher_of) -> None:
    module = fresh_head(teacher_of("rtmpose-t", WH), student_variant("rtmpose-t", WH), 1)
    for wrapped in (module.train(), torch.nn.Sequential(module).train()):
        assert not any(part.training for part in module.backbone.modules())
        assert module.head.training
        assert wrapped.training
    assert not module.eval().head.training


@pytest.mark.parametrize(
    ("student", "wh", "schema", "said"),
    [
        ("vitpose-32x2x2-simple", WH, "coco17", "is of another family than the student vitpose-"),
        ("rtmpose-s", WH, "coco17", "is of another size than the student rtmpose-s"),
        ("rtmpose-t", (128, 128), "coco17", "has another input than"),
        ("rtmpose-t", WH, "body26", "has other keypoints than"),
    ],
)
def test_only_the_student_itself_teaches_a_head(teacher_of, student, wh, schema, said) -> None:
    with pytest.raises(InputError, match=said):
        fresh_head(teacher_of("rtmpose-t", WH), student_variant(student, wh, schema), 0)


def test_attention_with_other_heads_is_another_size(teacher_of) -> None:
    """Its tensors are the same."""
    variant = student_variant("vitpose-32x2x4-simple", WH)
    with pytest.raises(InputError, match="is of another size than"):
        fresh_head(teacher_of("vitpose-32x2x2-simple", WH), variant, 0)


def test_an_artifact_has_no_backbone_to_give(teacher_of) -> None:
    teacher = replace(teacher_of("rtmpose-t", WH), module=None)
    assert isinstance(teacher, Teacher)
    with pytest.raises(InputError, match="is an artifact, unlike the student rtmpose-t"):
        fresh_head(teacher, student_variant("rtmpose-t", WH), 0)
