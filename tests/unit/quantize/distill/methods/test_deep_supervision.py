"""Deep supervision: no loss for right inner heatmaps, fading weights, nothing left in the student."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from edge.catalog.specs import rtmpose_spec  # noqa: E402
from edge.schema import load_schema  # noqa: E402
from quantize.distill.assembly import Supervision, assemble  # noqa: E402
from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.methods.deep_supervision import (  # noqa: E402
    DeeplySupervised,
    DeepSupervisionLoss,
    deep_supervision_losses,
    with_deep_supervision,
    without_deep_supervision,
)
from quantize.distill.student import new_student, student_variant  # noqa: E402

WH = (64, 96)
COCO = load_schema("coco17")
VARIANT = student_variant("rtmpose-t", WH)
SPEC = rtmpose_spec("student", WH, "coco17")


def labelled(batch, xy: np.ndarray):
    batch.xy[:] = torch.from_numpy(xy.astype(np.float32))
    batch.weights[:] = 1
    return batch


def inner_maps(batch, sigma_px: np.ndarray) -> list[torch.Tensor]:
    """Gaussians around the labels at strides 8, 16, 32, at least .8 bins wide, computed by their formula."""
    made = []
    for stride in (8, 16, 32):
        columns, rows = np.meshgrid(np.arange(WH[0] // stride), np.arange(WH[1] // stride))
        sigma = np.maximum(sigma_px / stride, 0.8)
        x, y = (batch.xy.numpy()[..., axis, None, None] / stride for axis in (0, 1))
        far = ((columns - x) / sigma[0]) ** 2 + ((rows - y) / sigma[1]) ** 2
        made.append(torch.from_numpy(np.exp(-far / 2)).float())
    return made


def test_right_maps_cost_nothing_and_blank_ones_their_squares(batch_of) -> None:
    rng = np.random.default_rng(0)
    batch = labelled(batch_of(WH), rng.uniform(10, 50, (2, 17, 2)))
    own = (torch.zeros(2, 17, 128), torch.zeros(2, 17, 192))
    right = inner_maps(batch, np.array((WH[0] * 2 / 48, WH[1] * 2 / 64)))
    term = DeepSupervisionLoss(SPEC, own=2)
    assert term((*own, *right), batch).item() == pytest.approx(0, abs=1e-9)
    blank = [torch.zeros_like(each) for each in right]
    wanted = sum(each.square().sum(dim=(2, 3)).mean().item() for each in right)
    assert term((*own, *blank), batch).item() == pytest.approx(wanted, rel=1e-5)
    batch.weights[:] = 0
    assert term((*own, *blank), batch).item() == 0


def test_the_wrapped_students_outputs_are_its_own(batch_of) -> None:
    """The wrapped network's own outputs are the bare one's; its tensors keep their names."""
    bare = new_student(VARIANT, 3).eval()
    wrapped = with_deep_supervision(new_student(VARIANT, 3), 17, WH, 0).eval()
    image = torch.randn(1, 3, WH[1], WH[0], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = wrapped(image)
        for found, wanted in zip(outputs, bare(image), strict=False):
            assert found.equal(wanted)
    assert [tuple(each.shape[2:]) for each in outputs[2:]] == [(12, 8), (6, 4), (3, 2)]
    state = without_deep_supervision(wrapped.state_dict())
    assert state.keys() == bare.state_dict().keys()


def test_initial_weights_follow_from_the_seed() -> None:
    first, same, other = (
        with_deep_supervision(new_student(VARIANT, 0), 17, WH, seed).guides[0].weight
        for seed in (1, 1, 2)
    )
    assert first.equal(same)
    assert not first.equal(other)


def test_inner_heatmaps_are_trained_and_left_behind(batch_of) -> None:
    config = DistillConfig(student="rtmpose-t", methods=("none",), input_wh=WH)
    made = assemble(config, VARIANT, COCO, Supervision(labelled=True))
    assert isinstance(made.module, DeeplySupervised)
    assert (made.losses["guide"].start, made.losses["guide"].end) == (0.01, 0.0)
    batch = labelled(batch_of(WH), np.full((2, 17, 2), 30.0))
    outputs = made.module(torch.randn(2, 3, WH[1], WH[0]))
    made.losses["guide"].loss(outputs, batch).backward()
    assert made.module.guides[0].weight.grad.abs().sum() > 0
    assert made.module.backbone.stem[0].conv.weight.grad.abs().sum() > 0
    assert made.module.head.cls_x.weight.grad is None
    bare = made.extract(made.module.state_dict())
    assert bare.state_dict().keys() == new_student(VARIANT, 0).state_dict().keys()


def test_no_deep_supervision_where_none_is_wanted_or_possible() -> None:
    for config in (
        DistillConfig(student="rtmpose-t", methods=("none",), input_wh=WH, deep_supervision=0.0),
        DistillConfig(student="vitpose-48x1x3-simple", methods=("none",), input_wh=WH),
    ):
        variant = student_variant(config.student, WH)
        made = assemble(config, variant, COCO, Supervision(labelled=True))
        assert set(made.losses) == {"truth"}
    assert deep_supervision_losses(SPEC, 0.01, None, labelled=False) == {}
