"""Parts of a student: frozen ones stay, blocks are skipped at their rate, and a part that is lacking is refused."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule, parameter_groups  # noqa: E402
from quantize.distill.network_parts import DropPath, add_drop_path, check_parts, freeze  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

VIT = student_variant("vitpose-48x3x3-simple", (48, 64))
CONVOLUTIONAL = student_variant("rtmpose-96x1x1x1x1", (64, 64))


def changed(module: torch.nn.Module, variant) -> set[str]:
    """Names of the tensors that a step in training changes."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = torch.optim.AdamW(parameter_groups(module, LrSchedule()), lr=1e-2)
    outputs = module(torch.randn(2, 3, *variant.input_wh[::-1]))
    sum(output.square().mean() for output in outputs).backward()
    optimizer.step()
    return {n for n, value in module.state_dict().items() if not torch.equal(value, before[n])}


@pytest.mark.parametrize(("part", "frozen"), [("attention", ".attn."), ("ffn", ".ffn.")])
def test_a_frozen_part_of_a_transformer_stays(part, frozen) -> None:
    module = new_student(VIT, 0)
    freeze(module, [part])
    moved = changed(module, VIT)
    assert not any(frozen in name for name in moved)
    other = {".attn.": ".ffn.", ".ffn.": ".attn."}[frozen]
    assert any(other in name for name in moved)
    assert any(name.startswith("head.") for name in moved)


def test_a_frozen_backbone_keeps_its_statistics() -> None:
    module = new_student(CONVOLUTIONAL, 0)
    assert any("running_mean" in name for name in changed(module, CONVOLUTIONAL))
    freeze(module, ["backbone"])
    moved = changed(module, CONVOLUTIONAL)
    assert moved
    assert all(name.startswith("head.") for name in moved)


@pytest.mark.parametrize(
    ("config", "variant", "said"),
    [
        (
            DistillConfig(student="rtmpose-t", freeze=("ffn",), init="x"),
            CONVOLUTIONAL,
            "--freeze ffn: rtmpose-t has no such part; it has: backbone",
        ),
        (
            DistillConfig(student="rtmpose-t", freeze=("attention", "ffn"), init="x"),
            CONVOLUTIONAL,
            "--freeze attention, ffn",
        ),
        (
            DistillConfig(student="vitpose-b", freeze=("attention",)),
            VIT,
            "without --init they are random",
        ),
        (DistillConfig(student="rtmpose-t", drop_path=0.1), CONVOLUTIONAL, "rtmpose-t has none"),
        (DistillConfig(student="rtmpose-t", layer_decay=0.5), CONVOLUTIONAL, "rtmpose-t has none"),
    ],
)
def test_what_the_network_lacks_is_refused(config, variant, said) -> None:
    with pytest.raises(InputError, match=said):
        check_parts(config, variant)


def test_a_skipped_branch_is_zero_and_the_others_make_up_for_it() -> None:
    branch, output = torch.nn.Identity(), torch.ones(4000, 2, 3)
    torch.manual_seed(0)
    found = DropPath(0.25)(branch.train(), (), output)
    kept = found[:, 0, 0] > 0
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(found[kept], torch.full_like(found[kept], 1 / 0.75))
    assert torch.equal(found[~kept], torch.zeros_like(found[~kept]))
    assert DropPath(0.25)(branch.eval(), (), output) is output


def test_later_blocks_are_skipped_more_often() -> None:
    """Linearly, from never; nothing is skipped outside training, and tensors keep their names."""
    module, plain = new_student(VIT, 0), new_student(VIT, 0)
    add_drop_path(module, 0.5)
    hooks = [list(block.ffn._forward_hooks.values()) for block in module.backbone.layers]
    assert [hook.probability for (hook,) in hooks] == [0.0, 0.25, 0.5]
    assert module.state_dict().keys() == plain.state_dict().keys()
    image = torch.randn(1, 3, 64, 48)
    assert torch.equal(module.eval()(image)[0], plain.eval()(image)[0])
