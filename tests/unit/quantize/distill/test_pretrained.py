"""Weights taken of `--init`: by name and shape, positions interpolated, counted; files that hardly fit are refused."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from export.models.vit import resize_positions  # noqa: E402
from export.student_file import Card, write_student  # noqa: E402
from quantize.distill.config import DistillConfig  # noqa: E402
from quantize.distill.pretrained import check_init, init_lineage, start_from  # noqa: E402
from quantize.distill.student import new_student, student_variant  # noqa: E402
from runtimes.errors import InputError  # noqa: E402

WH = (48, 64)
VIT = student_variant("vitpose-48x3x3-simple", WH)


def student_file(name: str, path: Path, seed: int = 7) -> Path:
    variant = student_variant(name, WH)
    card = Card(model=name, family=variant.family, size=variant.size, input_wh=WH, schema="coco17")
    write_student(path, new_student(variant, seed), card)
    return path


def mae_file(path: Path, *, depth: int = 3, dim: int = 48) -> dict[str, torch.Tensor]:
    """A file in the layout of MAE's official checkpoints: a class token, a 14 x 14 grid, a decoder of its own."""
    rng = torch.Generator().manual_seed(3)
    state = {
        "cls_token": torch.randn(1, 1, dim, generator=rng),
        "pos_embed": torch.randn(1, 197, dim, generator=rng),
        "patch_embed.proj.weight": torch.randn(dim, 3, 16, 16, generator=rng),
        "patch_embed.proj.bias": torch.randn(dim, generator=rng),
        "norm.weight": torch.randn(dim, generator=rng),
        "norm.bias": torch.randn(dim, generator=rng),
        "decoder_embed.weight": torch.randn(8, dim, generator=rng),
        "mask_token": torch.randn(1, 1, 8, generator=rng),
    }
    shapes = {"norm1": (dim,), "norm2": (dim,), "attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
    shapes |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
    for block in range(depth):
        for name, shape in shapes.items():
            state[f"blocks.{block}.{name}.weight"] = torch.randn(shape, generator=rng)
            state[f"blocks.{block}.{name}.bias"] = torch.randn(shape[0], generator=rng)
    torch.save({"model": state}, path)
    return state


def test_a_backbone_of_mae_is_taken(tmp_path) -> None:
    state = mae_file(tmp_path / "mae.pth")
    module = new_student(VIT, 0)
    taken = start_from(str(tmp_path / "mae.pth"), module, VIT)
    backbone = module.backbone.state_dict()
    assert torch.equal(backbone["layers.2.ffn.layers.0.0.weight"], state["blocks.2.mlp.fc1.weight"])
    assert torch.equal(backbone["layers.1.ln2.bias"], state["blocks.1.norm2.bias"])
    assert torch.equal(backbone["ln1.weight"], state["norm.weight"])
    assert torch.equal(backbone["patch_embed.projection.bias"], state["patch_embed.proj.bias"])
    positions = state["pos_embed"][:, 1:] + state["pos_embed"][:, :1]
    assert torch.equal(backbone["pos_embed"], resize_positions(positions, (14, 14), (4, 3)))
    assert len(taken.taken) == len(backbone)
    assert all(name.startswith("head.") for name in taken.left)
    assert taken.summary.startswith(
        f"{len(backbone)} of {len(taken.taken) + len(taken.left)} tensors taken; still"
    )


def test_a_backbone_of_mmpretrain_is_taken(tmp_path) -> None:
    """Our names, with a class token; here without the part that all names share."""
    source = new_student(VIT, 5).backbone.state_dict()
    grid = torch.randn(1, 13, 48)
    torch.save(
        {"state_dict": {**source, "cls_token": torch.zeros(1, 1, 48), "pos_embed": grid}},
        tmp_path / "vit.pth",
    )
    module = new_student(VIT, 0)
    start_from(str(tmp_path / "vit.pth"), module, VIT)
    assert torch.equal(
        module.backbone.layers[1].attn.qkv.weight, source["layers.1.attn.qkv.weight"]
    )
    torch.testing.assert_close(module.backbone.pos_embed.data, grid[:, 1:] + grid[:, :1])


def test_a_shallower_network_gives_its_blocks(tmp_path) -> None:
    path = student_file("vitpose-48x2x3-simple", tmp_path / "shallow.safetensors")
    module, random = new_student(VIT, 0), new_student(VIT, 0).state_dict()
    taken = start_from(str(path), module, VIT)
    source = new_student(student_variant("vitpose-48x2x3-simple", WH), 7).state_dict()
    for name, value in module.state_dict().items():
        wanted = source[name] if name in taken.taken else random[name]
        assert torch.equal(value, wanted), name
    assert {name.split(".")[2] for name in taken.left if ".layers." in name} == {"2"}


def test_the_same_network_is_taken_whole(tmp_path) -> None:
    path = student_file("vitpose-48x3x3-simple", tmp_path / "same.safetensors")
    taken = start_from(str(path), new_student(VIT, 0), VIT)
    assert not taken.left
    assert taken.summary.endswith("tensors taken")


@pytest.mark.parametrize("name", ["vitpose-96x3x3-simple", "rtmpose-96x1x1x1x1"])
def test_a_file_that_hardly_fits_is_refused(name, tmp_path) -> None:
    wh = (64, 64)
    variant = student_variant(name, wh)
    card = Card(model=name, family=variant.family, size=variant.size, input_wh=wh, schema="coco17")
    write_student(tmp_path / "other.safetensors", new_student(variant, 0), card)
    module = new_student(VIT, 0)
    with pytest.raises(InputError, match=f"holds {name}, the student is vitpose-48x3x3-simple"):
        start_from(str(tmp_path / "other.safetensors"), module, VIT)
    untouched = new_student(VIT, 0).state_dict()
    assert all(torch.equal(value, untouched[key]) for key, value in module.state_dict().items())


def test_a_frozen_part_must_be_in_it(tmp_path) -> None:
    path = str(student_file("vitpose-48x2x3-simple", tmp_path / "shallow.safetensors"))
    config = DistillConfig(student="-", init=path, freeze=("attention",))
    with pytest.raises(InputError, match=r"that --init does not have \(backbone\.layers\.2\.attn"):
        check_init(config, VIT)
    same = str(student_file("vitpose-48x3x3-simple", tmp_path / "same.safetensors"))
    assert check_init(DistillConfig(student="-", init=same, freeze=("backbone",)), VIT)
    assert check_init(DistillConfig(student="-"), VIT) is None


def test_a_bare_backbone_has_no_known_terms(tmp_path) -> None:
    mae_file(tmp_path / "mae.pth")
    lineage = init_lineage(str(tmp_path / "mae.pth"))
    assert (lineage.checkpoint, lineage.licences, lineage.commercial_use) == ("mae.pth", (), None)
    assert len(lineage.checkpoint_sha256) == 64
