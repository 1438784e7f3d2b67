"""Knowledge tokens: only the vector is trained, widths are projected, the file is bound to its teacher."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from export.registry import load_family  # noqa: E402
from export.torch_session import TorchSession  # noqa: E402
from quantize.distill.loop.optimizer import LrSchedule  # noqa: E402
from quantize.distill.loop.train_state import new_train_state  # noqa: E402
from quantize.distill.methods.token import (  # noqa: E402
    TokenCard,
    add_token,
    apply_projection,
    random_token,
    read_token,
    token_teacher,
    token_variant,
    write_token,
)
from quantize.distill.student import new_student, student_spec, student_variant  # noqa: E402
from quantize.distill.teachers.teacher import Teacher  # noqa: E402
from runtimes.errors import CheckpointError, InputError  # noqa: E402
from runtimes.spec import Lineage  # noqa: E402

WH = (48, 64)
VARIANT = student_variant("vitpose-48x2x3-simple", WH)


def teacher(name: str = "vitpose-48x2x3-simple", identity: str = "a" * 64) -> Teacher:
    variant = student_variant(name, WH)
    module, spec = new_student(variant, 1).eval(), student_spec(variant, name)
    return Teacher(TorchSession(module, spec), spec, identity, Lineage(weights="random"), module)


def test_only_the_token_is_trained() -> None:
    network = token_teacher(teacher(), 0).train()
    state = new_train_state(network, LrSchedule(1e-2))
    assert [name for name, p in network.named_parameters() if p.requires_grad] == [
        "module.backbone.token"
    ]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for seed in range(3):
        image = torch.randn(2, 3, *WH[::-1], generator=torch.Generator().manual_seed(seed))
        network(image)[0].square().mean().backward()
        state.optimizer.step()
    moved = {name for name, value in network.state_dict().items() if not value.equal(before[name])}
    assert moved == {"module.backbone.token"}
    assert not any(part.training for part in network.modules())


def test_the_teacher_itself_is_left_alone() -> None:
    given = teacher()
    token_teacher(given, 0)
    assert given.module.backbone.token is None
    assert all(parameter.requires_grad for parameter in given.module.parameters())


def test_a_token_has_no_place_in_the_image() -> None:
    """Appended after the positions, dropped before the decoder: the maps are as large as ever.

    With attention's values silenced no token can speak to another, so the token changes nothing at all.
    """
    variant = token_variant(VARIANT)
    bare, network = new_student(VARIANT, 0).eval(), new_student(variant, 0).eval()
    network.load_state_dict(bare.state_dict(), strict=False)
    add_token(network, random_token(48, 0), 0)
    image = torch.randn(2, 3, *WH[::-1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = network(image)[0]
        assert maps.shape == bare(image)[0].shape
        assert not torch.allclose(maps, bare(image)[0], atol=1e-6)
        for module in (bare, network):
            for block in module.backbone.layers:
                block.attn.proj.weight.zero_()
        torch.testing.assert_close(network(image)[0], bare(image)[0])


@pytest.mark.parametrize("theirs", [48, 96], ids=["same width", "wider teacher"])
def test_a_trained_student_becomes_a_bare_network(theirs) -> None:
    """The projection is trained, the token is not; afterwards one vector gives the same outputs."""
    variant = token_variant(VARIANT)
    student = new_student(variant, 0)
    token = random_token(theirs, 3)
    add_token(student, token, 0)
    state = new_train_state(student, LrSchedule(1e-2))
    image = torch.randn(2, 3, *WH[::-1], generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        student(image)[0].square().mean().backward()
        state.optimizer.step()
        state.optimizer.zero_grad()
    bare = apply_projection(variant, student.state_dict(), theirs).eval()
    expected = load_family("vitpose").build(variant).state_dict()
    assert {k: v.shape for k, v in bare.state_dict().items()} == {
        k: v.shape for k, v in expected.items()
    }
    with torch.no_grad():
        torch.testing.assert_close(bare(image)[0], student.eval()(image)[0])
    if theirs == 48:
        assert bare.backbone.token.equal(token)
    else:
        projected = student.backbone.parametrizations.token
        assert projected.original.equal(token)
        torch.testing.assert_close(bare.backbone.token, projected[0].map(token))


def test_a_token_file_is_its_teachers_alone(tmp_path) -> None:
    path = tmp_path / "token.safetensors"
    token = random_token(48, 5)
    card = TokenCard(teacher="a" * 64, teacher_model="t", steps=7)
    write_token(path, token, card)
    found, read = read_token(path, teacher())
    assert found.equal(token)
    assert read == card
    with pytest.raises(CheckpointError, match="the token of another teacher"):
        read_token(path, teacher(identity="b" * 64))


@pytest.mark.parametrize("content", [b"", b"junk" * 10, None], ids=["empty", "junk", "missing"])
def test_files_that_are_no_token_are_refused(tmp_path, content) -> None:
    path = tmp_path / "token.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is no knowledge token"):
        read_token(path, teacher())


def test_teachers_without_a_place_for_a_token_are_refused() -> None:
    with pytest.raises(InputError, match="must be a PyTorch ViTPose"):
        token_teacher(replace(teacher(), module=None), 0)
    rtmpose = student_variant("rtmpose-t", (64, 64))
    other = replace(teacher(), module=new_student(rtmpose, 0))
    with pytest.raises(InputError, match="must be a PyTorch ViTPose"):
        token_teacher(other, 0)
    with pytest.raises(InputError, match="already has a knowledge token"):
        token_teacher(teacher("vitpose-48x2x3-simple-token"), 0)


def test_the_initial_weights_follow_from_the_seed() -> None:
    """The token of a new teacher, and the projection of a new student."""
    tokens = [token_teacher(teacher(), seed).module.backbone.token for seed in (1, 1, 2)]
    assert tokens[0].equal(tokens[1])
    assert not tokens[0].equal(tokens[2])
    maps = []
    for seed in (1, 1, 2):
        student = new_student(token_variant(VARIANT), 0)
        add_token(student, random_token(96, 0), seed)
        maps.append(student.backbone.parametrizations.token[0].map.weight)
    assert maps[0].equal(maps[1])
    assert not maps[0].equal(maps[2])
