"""Feature distillation: no loss against oneself, an adapter that is trained and dropped, the paper's weights."""

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from lightning_fabric import Fabric  # noqa: E402

from edge.catalog.label_sigma import simcc_label_sigma  # noqa: E402
from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.catalog.specs_vitpose import vitpose_spec  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from export.torch_session import normalise  # noqa: E402
from quantize.distill.data.targets import (  # noqa: E402
    heatmap_sigma,
    heatmaps,
    simcc_labels,
)
from quantize.distill.loop.optimizer import LrSchedule, parameter_groups  # noqa: E402
from quantize.distill.loop.train import TrainSettings, train  # noqa: E402
from quantize.distill.loop.train_state import new_train_state  # noqa: E402
from quantize.distill.losses.functional import heatmap_mse, integral_l1, simcc_kl  # noqa: E402
from quantize.distill.losses.terms import WeightedLoss  # noqa: E402
from quantize.distill.methods.feature import (  # noqa: E402
    FEATURE_WEIGHT,
    LOGIT_WEIGHT,
    UNTRAINED_LOSS,
    FeatureStudent,
    FirstOutputsLoss,
    feature_losses,
    with_feature_output,
    without_adapter,
)
from quantize.distill.pose_task import PoseTask  # noqa: E402
from quantize.distill.student import new_student, student_spec, student_variant  # noqa: E402
from quantize.distill.teachers.teacher import Teacher  # noqa: E402
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

COCO = load_schema("coco17")
WH = (64, 64)
SIMCC = student_variant("rtmpose-t", WH)
NARROW = student_variant("vitpose-24x2x2-simple", WH)
RATES = LrSchedule(lr=1e-3, warmup_steps=1)


def student(variant, teacher, seed: int = 1) -> FeatureStudent:
    return with_feature_output(
        new_student(variant, seed), student_spec(variant, "s"), teacher, seed
    )


@pytest.mark.parametrize("name", ["rtmpose-t", "vitpose-32x2x2-simple"])
def test_nothing_is_learnt_from_oneself(teacher_of, batch_of, name) -> None:
    teacher, batch = teacher_of(name, WH), batch_of(WH)
    parts = feature_losses(teacher, teacher.spec, COCO)
    wrapped = FeatureStudent(teacher.module, 8, 8).eval()
    with torch.no_grad():
        outputs = wrapped(normalise(batch.images, teacher.spec.image))
        plain = teacher.module(normalise(batch.images, teacher.spec.image))
    assert all(torch.equal(a, b) for a, b in zip(outputs, plain, strict=False))
    assert len(outputs) == len(plain) + 1
    for part in parts.values():
        assert part.loss(outputs, batch).item() == pytest.approx(0, abs=1e-9)
    assert set(parts) == ({"feature", "simcc"} if name == "rtmpose-t" else {"feature"})
    shifted = (*outputs[:-1], outputs[-1] + 2)
    assert parts["feature"].loss(shifted, batch).item() == pytest.approx(4, rel=1e-5)


def test_channels_are_brought_to_the_teachers(teacher_of, batch_of) -> None:
    """24 to 32 by a 1x1 convolution; the gradient goes through it into the student, not into the teacher."""
    teacher, batch = teacher_of("vitpose-32x2x2-simple", WH), batch_of(WH)
    wrapped = student(NARROW, teacher)
    assert wrapped.adapter.weight.shape == (32, 24, 1, 1)
    outputs = wrapped(normalise(batch.images, teacher.spec.image))
    assert outputs[-1].shape == (2, 32, 4, 4)
    feature_losses(teacher, student_spec(NARROW, "s"), COCO)["feature"].loss(
        outputs, batch
    ).backward()
    assert wrapped.adapter.weight.grad.abs().max() > 0
    assert wrapped.backbone.patch_embed.projection.weight.grad.abs().max() > 0
    assert all(each.grad is None for each in teacher.module.parameters())
    again, other = student(NARROW, teacher), student(NARROW, teacher, seed=2)
    assert torch.equal(again.adapter.weight, wrapped.adapter.weight)
    assert not torch.equal(other.adapter.weight, wrapped.adapter.weight)


def test_a_convolution_can_learn_from_a_transformer(teacher_of, batch_of) -> None:
    """Its grid is half as fine: the teacher's features are resized; of heatmaps nothing is asked here."""
    teacher, batch = teacher_of("vitpose-32x2x2-simple", WH), batch_of(WH)
    parts = feature_losses(teacher, student_spec(SIMCC, "s"), COCO)
    assert set(parts) == {"feature"}
    outputs = student(SIMCC, teacher)(normalise(batch.images, teacher.spec.image))
    assert outputs[-1].shape == (2, 32, 2, 2)
    assert torch.isfinite(parts["feature"].loss(outputs, batch))


def test_only_the_student_is_kept(teacher_of, batch_of, tmp_path: Path) -> None:
    """After steps of the real loop both the weights and their average fit the bare network, strictly."""
    teacher = teacher_of("rtmpose-s", WH)
    spec = student_spec(SIMCC, "s")
    state = new_train_state(student(SIMCC, teacher), RATES)
    before = state.module.adapter.weight.detach().clone()
    steps: list = []
    parts = feature_losses(teacher, spec, COCO) | {
        "truth": WeightedLoss(
            FirstOutputsLoss(lambda outputs, _: sum(o.square().mean() for o in outputs), 2)
        )
    }
    train(
        Fabric(accelerator="cpu", devices=1),
        state,
        PoseTask(spec.image, parts),
        (batch_of(WH, seed) for seed in range(3)),
        TrainSettings(3, RATES),
        tmp_path,
        steps.append,
    )
    assert not torch.equal(state.module.adapter.weight, before)
    for tensors in (state.module.state_dict(), state.average.state):
        bare = new_student(SIMCC, 5)
        bare.load_state_dict(without_adapter(tensors), strict=True)
    shown = state.module.eval()(torch.ones(1, 3, 64, 64))
    bare.load_state_dict(without_adapter(state.module.state_dict()))
    for ours, wanted in zip(bare.eval()(torch.ones(1, 3, 64, 64)), shown, strict=False):
        assert torch.equal(ours, wanted)
    assert [set(step.losses) for step in steps] == [{"truth", "feature", "simcc"}] * 3


def test_other_losses_see_the_own_outputs_alone() -> None:
    seen = []
    term = FirstOutputsLoss(lambda outputs, _: seen.append(outputs) or torch.zeros(()), 2)
    term(("x", "y", "features"), None)
    assert seen == [("x", "y")]


def test_blocks_of_a_transformer_still_learn_at_their_own_rates(teacher_of) -> None:
    """As those of the bare student do; the adapter learns as the head does."""
    bare = new_student(NARROW, 1)
    wrapped = student(NARROW, teacher_of("vitpose-32x2x2-simple", WH))
    wanted, found = (rates_of(module) for module in (bare, wrapped))
    assert {found.pop("adapter.weight"), found.pop("adapter.bias")} == {1.0}
    assert found == wanted
    assert set(wanted.values()) == {1.0, 0.5, 0.25, 0.125}


def rates_of(module: torch.nn.Module) -> dict[str, float]:
    groups = parameter_groups(module, LrSchedule(lr=1.0, layer_decay=0.5))
    lr_schedule = {id(each): group["lr"] for group in groups for each in group["params"]}
    return {name: lr_schedule[id(each)] for name, each in module.named_parameters()}


def test_weights_are_the_papers() -> None:
    """By alpha = 5e-5 before a sum over 1024 x 8 x 6, beta = 0.1 before a sum over bins, labels added up over 64."""
    rng = np.random.default_rng(0)
    found, wanted = (torch.from_numpy(rng.normal(size=(64, 1024, 8, 6))) for _ in range(2))
    papers = 5e-5 * (found - wanted).square().sum() / 64
    ours = 64 * FEATURE_WEIGHT * (found - wanted).square().mean()
    assert ours.item() == pytest.approx(papers.item())
    divergence = torch.from_numpy(rng.uniform(size=(64, 17, 448)))
    papers = 0.1 * divergence.sum(dim=2).mean()
    assert (64 * LOGIT_WEIGHT * divergence.mean()).item() == pytest.approx(papers.item())


def test_weights_fade_to_zero(teacher_of) -> None:
    teacher = teacher_of("rtmpose-t", WH)
    parts = feature_losses(teacher, teacher.spec, COCO)
    assert parts["feature"].weight_at(0) == pytest.approx(FEATURE_WEIGHT)
    assert parts["simcc"].weight_at(0.25) == pytest.approx(0.75 * LOGIT_WEIGHT)
    assert parts["feature"].weight_at(1) == parts["simcc"].weight_at(1) == 0
    maps = teacher_of("vitpose-32x2x2-simple", WH)
    (part,) = feature_losses(maps, maps.spec, COCO).values()
    assert part.weight_at(0) == pytest.approx(FEATURE_WEIGHT / 4)


def test_label_losses_of_an_untrained_student() -> None:
    """Keypoints all over a crop of 192x256, and empty outputs: `UNTRAINED_LOSS` within a third."""
    wh = (192, 256)
    xy = np.random.default_rng(0).uniform(0, wh, (500, 2)).astype(np.float32)
    ones = torch.ones(1, 500)
    labels = [
        torch.from_numpy(each)[None]
        for each in simcc_labels(xy, wh, 2.0, np.array(simcc_label_sigma(wh)))
    ]
    simcc = simcc_kl(tuple(map(torch.zeros_like, labels)), tuple(labels), ones).item()
    maps = torch.from_numpy(heatmaps(xy / 4, (48, 64), heatmap_sigma(wh) / 4))[None]
    heatmap = heatmap_mse(torch.zeros_like(maps), maps, ones).item()
    integral = integral_l1(torch.zeros(1, 500, 64, 48), torch.from_numpy(xy / 4)[None], ones).item()
    costs = {SimCCCodec: simcc, HeatmapCodec: heatmap, IntegralCodec: integral}
    for codec, wanted in UNTRAINED_LOSS.items():
        assert math.log(costs[codec] / simcc / wanted) == pytest.approx(0, abs=math.log(4 / 3))


def test_teachers_without_features_are_refused(teacher_of) -> None:
    teacher = teacher_of("vitpose-32x2x2-simple", WH)
    artifact = Teacher(teacher.session, teacher.spec, "", teacher.lineage)
    with pytest.raises(InputError, match="method feature needs a PyTorch teacher"):
        feature_losses(artifact, teacher.spec, COCO)
    with pytest.raises(InputError, match="method feature needs a PyTorch teacher"):
        with_feature_output(teacher.module, teacher.spec, artifact, 0)
    with pytest.raises(InputError, match="takes 64x64 and the student 48x64"):
        feature_losses(teacher, vitpose_spec("student", (48, 64), "coco17"), COCO)
    hands = teacher_of("rtmpose-t", WH, "hand21")
    with pytest.raises(InputError, match="share no keypoint"):
        feature_losses(hands, rtmpose_spec("student", WH, "coco17"), COCO)
