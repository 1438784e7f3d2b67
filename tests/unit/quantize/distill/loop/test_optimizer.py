"""The learning-rate schedule, parameter groups and the weight average against their formulas."""

import itertools
import math

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from export.models.vitpose import build  # noqa: E402
from export.registry import Variant  # noqa: E402
from quantize.distill.loop.optimizer import (  # noqa: E402
    LrSchedule,
    WeightAverage,
    average_of,
    lr_factor,
    parameter_groups,
    set_lr,
)


def test_the_rate_warms_up_stays_and_falls() -> None:
    lr_schedule = LrSchedule(warmup_steps=10, flat_share=0.5, final=0.1)
    course = [lr_factor(step, 100, lr_schedule) for step in range(101)]
    assert course[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert course[10:51] == pytest.approx([1.0] * 41)
    assert course[75] == pytest.approx(0.1 + 0.9 / 2)
    assert course[100] == pytest.approx(0.1)
    assert all(later < earlier for earlier, later in itertools.pairwise(course[51:]))


def test_the_step_schedule_drops_at_170_and_200_of_210() -> None:
    """ViTPose's epochs, a step each here."""
    lr_schedule = LrSchedule(warmup_steps=0, course="step")
    course = [lr_factor(epoch, 210, lr_schedule) for epoch in range(210)]
    assert course == pytest.approx([1.0] * 170 + [0.1] * 30 + [0.01] * 10)


def test_a_training_without_warm_up_starts_at_full_rate() -> None:
    assert lr_factor(0, 10, LrSchedule(warmup_steps=0)) == 1


def test_weight_decay_and_layer_wise_rates() -> None:
    """ViTPose's and mmpose's LayerDecayOptimizerConstructor: rate ** (blocks + 2 - layer - 1), embeddings layer 0."""
    module = build(Variant("vitpose", "32x3x2-simple-token", (48, 64), schema="coco17"))
    lr_schedule = LrSchedule(lr=1.0, weight_decay=0.1, layer_decay=0.5)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    found = {
        names[id(parameter)]: (group["weight_decay"], group["lr"])
        for group in parameter_groups(module, lr_schedule)
        for parameter in group["params"]
    }
    assert set(found) == set(names.values())
    assert found["head.final_layer.weight"] == (0.1, 1)
    assert found["backbone.ln1.weight"] == (0, 1)
    assert found["backbone.layers.2.attn.qkv.weight"] == (0.1, 0.5)
    assert found["backbone.layers.0.attn.qkv.weight"] == (0.1, 0.125)
    assert found["backbone.layers.0.attn.qkv.bias"] == (0, 0.125)
    assert found["backbone.patch_embed.projection.weight"] == (0.1, 0.0625)
    assert found["backbone.pos_embed"] == found["backbone.token"] == (0, 0.0625)


def test_what_is_frozen_is_in_no_group() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(requires_grad=False)
    (group,) = parameter_groups(module, LrSchedule())
    assert group["params"] == [module.weight]


def test_every_group_keeps_its_own_base() -> None:
    first, second = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD(
        [
            {"params": [first], "lr": 1.0, "base_lr": 1.0},
            {"params": [second], "lr": 0.5, "base_lr": 0.5},
        ]
    )
    set_lr(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.05])


def test_the_average_follows_its_formula_and_is_resumed() -> None:
    module = nn.BatchNorm1d(1)
    average = WeightAverage(module, momentum=0.1, gamma=5.0)
    expected = 1.0
    for step in range(20):
        module.weight.data.fill_(float(step))
        module.num_batches_tracked.fill_(step)
        kept = 0.9 * math.exp(-(1 + step) / 5) + 0.1
        expected += kept * (step - expected)
        average.update(module)
        if step == 9:
            saved = average.state_dict()
            saved = {
                "steps": saved["steps"],
                "state": {k: v.clone() for k, v in saved["state"].items()},
            }
            average = WeightAverage(module, momentum=0.1, gamma=5.0)
            average.load_state_dict(saved)
    assert average.state["weight"].item() == pytest.approx(expected, rel=1e-5)
    assert average.state["num_batches_tracked"].item() == 19


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 100.0), (0.1, 90.5)])
def test_an_average_covers_its_share_of_the_steps(share, wanted) -> None:
    """Of weights that rise by 1 a step, an average over the last n lags about n - 1 steps behind."""
    module = nn.Linear(1, 1, bias=False)
    average = average_of(module, 100, share)
    for step in range(1, 101):
        module.weight.data.fill_(float(step))
        average.update(module)
    assert average.state["weight"].item() == pytest.approx(wanted, abs=1.0 if share else 0.0)


def test_synchronised_batch_norms_keep_names_parameters_and_average() -> None:
    """The optimizer's parameters are those that are trained, and the average takes over their statistics."""
    module = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    average = average_of(module, 10, 0.0)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    assert type(synchronised[1]) is nn.SyncBatchNorm
    synchronised[1].running_mean.fill_(3.0)
    synchronised[1].weight.data.fill_(2.0)
    average.update(synchronised)
    assert list(average.state) == list(synchronised.state_dict())
    for name, value in synchronised.state_dict().items():
        assert torch.equal(average.state[name], value), name
