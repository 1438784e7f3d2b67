"""Networks of unpublished sizes: read from their tensors, rebuilt with the same outputs, named by what they are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from export.checkpoint import LoadedModel, load_checkpoint, with_input
from export.models import rtmdet, rtmpose, sapiens, vitpose, vitpose_sizes
from export.models.cspnext_backbone import CSPNeXtSize, parse_size, read_size, scaled, spell_size
from export.models.rtmdet_sizes import PUBLISHED, Size, size_name, size_of
from export.models.vit_sizes import VitSize
from export.random_weights import random_variant
from export.registry import Variant
from export.student_file import Card, write_student
from runtimes.errors import CheckpointError

State = dict[str, torch.Tensor]
FACTORS = [(0.2, 0.25), (0.5, 0.25), (0.2, 0.6), (0.5, 0.6)]


def mmdet_size(deepen: float, widen: float) -> tuple[list[int], list[int]]:
    """Channels of stem and stages, and blocks, by mmdet 3.3.0's CSPNeXt (`arch_settings["P5"]`)."""
    arch = [[64, 128, 3], [128, 256, 6], [256, 512, 6], [512, 1024, 3]]
    stem = int(arch[0][0] * widen)
    return (
        [stem, *(int(out * widen) for _, out, _ in arch)],
        [max(round(blocks * deepen), 1) for _, _, blocks in arch],
    )


def saved(state: State, directory: Path, **beside: Any) -> Path:
    path = directory / "model.pth"
    torch.save({"state_dict": state, **beside}, path)
    return path


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(loaded: LoadedModel, made: LoadedModel, wh: tuple[int, int]) -> None:
    image = torch.randn(2, 3, wh[1], wh[0], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for got, wanted in zip(loaded.module(image), made.module(image), strict=True):
            assert torch.equal(got, wanted)


@pytest.mark.parametrize("widen", [0.1, 0.25, 0.375, 0.6, 0.7, 1.25, 1.9])
@pytest.mark.parametrize("deepen", [0.1, 0.167, 0.2, 0.33, 0.5, 1.0, 1.5])
def test_factors_mean_what_they_mean_in_mmdet(deepen: float, widen: float) -> None:
    size = scaled(deepen, widen)
    assert ([size.stem, *size.stages], list(size.blocks)) == mmdet_size(deepen, widen)
    assert parse_size(spell_size(size)) == size


@pytest.mark.parametrize(("deepen", "widen"), FACTORS)
def test_rtmpose_of_other_factors_loads(deepen: float, widen: float, tmp_path: Path) -> None:
    channels, blocks = mmdet_size(deepen, widen)
    size = "x".join(map(str, (channels[-1], *blocks)))
    made = random_variant(Variant("rtmpose", size, (64, 96), schema="coco17"))
    state = made.module.state_dict()
    assert [state[f"backbone.stage{n}.0.conv.weight"].shape[0] for n in (1, 2, 3, 4)] == channels[
        1:
    ]
    assert state["head.final_layer.weight"].shape[1] == channels[-1]

    loaded = load_checkpoint(saved(state, tmp_path))
    assert loaded.variant == made.variant
    assert loaded.spec.model == f"rtmpose-{size}-coco17-96x64"
    assert_same(loaded, made, (64, 96))


@pytest.mark.parametrize(("deepen", "widen"), FACTORS)
def test_rtmdet_of_other_factors_loads(deepen: float, widen: float, tmp_path: Path) -> None:
    channels, blocks = mmdet_size(deepen, widen)
    size = "x".join(map(str, (channels[-1], *blocks)))
    name = f"{size}-neck{max(round(3 * deepen), 1)}"
    # wider than RTMDet-s: as mmdet's m, l and x, distances are exponents
    name += "-exp" if widen > 0.5 else ""
    made = random_variant(Variant("rtmdet", name, (64, 64), classes=("person",)))
    state = made.module.state_dict()
    assert state["neck.out_convs.2.conv.weight"].shape[:2] == (channels[2], channels[4])

    loaded = load_checkpoint(saved(state, tmp_path))
    assert (loaded.size, loaded.spec.image.wh) == (name, (640, 640))
    assert loaded.spec.model == f"rtmdet-{name}-1classes-640x640"
    assert_same(loaded, made, (64, 64))
    assert with_input(loaded, (96, 64)).spec.image.wh == (96, 64)


@pytest.mark.parametrize("name", ["256x1x1x2x1-dw-neck2", "160x1x2x1x1-neck1-head48"])
def test_depthwise_detectors_and_heads_of_their_own_width_load(name: str, tmp_path: Path) -> None:
    made = random_variant(Variant("rtmdet", name, (64, 64), classes=("a", "b")))
    loaded = load_checkpoint(saved(made.module.state_dict(), tmp_path))
    assert loaded.size == name
    assert_same(loaded, made, (64, 64))


@pytest.mark.parametrize("key", ["cfg", "config"])
@pytest.mark.parametrize(("size", "stated", "found"), [
    ("nano", "False", "nano"),
    ("nano", "True", "256x1x2x2x1-dw-neck1-exp"),
    ("256x1x1x1x1-neck1", "True", "256x1x1x1x1-neck1-exp"),
    ("608x1x1x1x1-neck1-exp", "False", "608x1x1x1x1-neck1"),
])  # fmt: skip
def test_the_training_config_in_a_file_says_how_distances_are_coded(
    tmp_path: Path, key: str, size: str, stated: str, found: str
) -> None:
    variant = Variant("rtmdet", size, (64, 64), classes=("person",))
    state = rtmdet.build(variant).state_dict()
    text = (
        f"model = dict(\n    bbox_head=dict(\n        exp_on_reg={stated},\n        num_classes=1))"
    )
    assert load_checkpoint(saved(state, tmp_path, meta={key: text})).size == found
    undecided = {key: text + "\nother = dict(exp_on_reg=True, was=dict(exp_on_reg=False))"}
    assert load_checkpoint(saved(state, tmp_path, meta=undecided)).size == size


@pytest.mark.parametrize("family", [vitpose, sapiens])
def test_heads_are_the_published_ones_else_64_channels_each_else_the_users(
    family: Any, tmp_path: Path
) -> None:
    name = family.__name__.rpartition(".")[2]

    def heads_of(dim: int, tmp: int, **options: Any) -> int:
        tail = "-head16" if family is sapiens else "-simple"
        torch.manual_seed(0)
        state = family.build(
            Variant(name, f"{dim}x1x{tmp}{tail}", (48, 64), schema="coco17")
        ).state_dict()
        loaded = load_checkpoint(saved(state, tmp_path), **options)
        attention = loaded.module.backbone.layers[0].attn
        assert loaded.size.startswith(f"{dim}x1x{attention.heads}")
        return attention.heads

    published = {"vitpose": (384, 12), "sapiens": (1536, 24)}[name]
    assert heads_of(*published) == published[1]
    assert heads_of(128, 1) == 2
    assert heads_of(128, 1, heads=4) == 4
    assert heads_of(160, 1, heads=5) == 5
    with pytest.raises(CheckpointError, match=r"is 160 wide, .* give --heads N"):
        heads_of(160, 1)
    for wrong in (3, 0, -2):
        with pytest.raises(CheckpointError, match=rf"cannot be divided among {wrong} attention"):
            heads_of(160, 1, heads=wrong)


def test_other_heads_are_another_network(tmp_path: Path) -> None:
    made = random_variant(Variant("vitpose", "128x2x4-simple", (48, 64), schema="coco17"))
    for block in made.module.backbone.layers:
        block.attn.qkv.weight.mul_(20)  # drawn ones attend to all patches alike
    path = saved(made.module.state_dict(), tmp_path)
    assert_same(load_checkpoint(path, heads=4), made, (48, 64))
    image = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        (usual,), (wanted,) = load_checkpoint(path).module(image), made.module(image)
    assert not torch.allclose(usual, wanted, atol=1e-3)


def test_a_training_config_says_the_heads_of_an_unpublished_width(tmp_path: Path) -> None:
    state = vitpose.build(Variant("vitpose", "128x2x4", (192, 256), schema="coco17")).state_dict()
    path = saved(state, tmp_path, meta={"cfg": "backbone=dict(num_heads=8, embed_dims=128)"})
    assert load_checkpoint(path).size == "128x2x8"
    assert load_checkpoint(path, heads=4).size == "128x2x4"


def test_heads_are_refused_where_there_are_none_and_where_the_file_says_them(
    tmp_path: Path,
) -> None:
    state = rtmpose.build(Variant("rtmpose", "t", (64, 64), schema="coco17")).state_dict()
    assert "looks like rtmpose-t, which has no attention heads" in refused(
        saved(state, tmp_path), heads=4
    )
    card = Card(
        model="mine", family="vitpose", size="64x1x2-simple", input_wh=(48, 64), schema="coco17"
    )
    path = tmp_path / "student.safetensors"
    write_student(path, vitpose.build(card.variant), card)
    assert load_checkpoint(path).module.backbone.layers[0].attn.heads == 2
    assert "leave heads out" in refused(path, heads=2)


def test_backbones_of_no_single_width_factor_are_no_known_network(tmp_path: Path) -> None:
    state = rtmpose.build(Variant("rtmpose", "160x1x1x1x1", (64, 64), schema="coco17")).state_dict()
    assert read_size(state) == CSPNeXtSize(160, (1, 1, 1, 1))
    wider = state | {"backbone.stem.2.conv.weight": torch.zeros(11, 5, 3, 3)}
    assert read_size(wider) is None
    assert "of no known family; nearest is rtm" in refused(saved(wider, tmp_path))


@pytest.mark.parametrize("name", ["xl", "614x1x1x1", "614x0x1x1x1", "16x1x1x1x1", ""])
def test_names_that_mean_no_size_are_refused(name: str) -> None:
    for family in (rtmpose, rtmdet):
        wrong = name if family is rtmpose else f"{name}-neck1"
        with pytest.raises(CheckpointError, match="has no size"):
            family.build(Variant("any", wrong, (64, 64), "coco17", ("person",)))
    with pytest.raises(CheckpointError, match="rtmdet has no size"):
        size_of("614x1x1x1x1-neck0")
    with pytest.raises(CheckpointError, match="sapiens has no size"):
        sapiens.build(Variant("sapiens", name or "192x1x5", (48, 64), schema="coco17"))


def test_published_sizes_keep_their_names_and_no_other_takes_them() -> None:
    assert all(size_name(size) == name for name, size in PUBLISHED.items())
    for name, size in PUBLISHED.items():
        other = Size(size.backbone, size.neck_blocks, size.features + 1, size.exponent)
        assert size_name(other) not in PUBLISHED
        assert size_of(size_name(other)) == other
        assert size_of(name) == size
    assert VitSize(384, 3, 12) not in vitpose_sizes.PUBLISHED.values()


@pytest.mark.parametrize("family", ["vitpose", "sapiens"])
@pytest.mark.parametrize("wh", [(128, 64), (64, 160), (96, 64), (48, 64), (64, 64)])
def test_a_transformer_keeps_the_size_that_it_was_trained_at(
    tmp_path: Path, family: str, wh: tuple[int, int]
) -> None:
    """Positions show how many patches there are, not in how many rows."""
    size = "96x1x3-simple" if family == "vitpose" else "96x1x3-head8"
    made = random_variant(Variant(family, size, wh, schema="coco17"))
    state = made.module.state_dict()
    path = saved(state, tmp_path)
    told = load_checkpoint(path, heads=3, input_wh=wh)
    assert told.spec.image.wh == wh
    assert_same(told, made, wh)
    assert any("as --input says" in note for note in told.notes) == (wh not in {(48, 64), (64, 64)})
    config = f"codec = dict(type='UDPHeatmap', input_size=({wh[0]}, {wh[1]}))"
    path = saved(state, tmp_path, meta={"cfg": config})
    for asked in (None, (48, 64)):  # another size is for the positions to be interpolated to
        assert load_checkpoint(path, heads=3, input_wh=asked).spec.image.wh == wh


def test_positions_of_no_usual_grid_ask_for_the_size(tmp_path: Path) -> None:
    made = random_variant(Variant("vitpose", "96x1x3-simple", (80, 112), schema="coco17"))
    path = saved(made.module.state_dict(), tmp_path)
    assert "35 positions are no grid of aspect 3:4 or 1:1; give --input WxH" in refused(
        path, heads=3
    )
    assert load_checkpoint(path, heads=3, input_wh=(80, 112)).spec.image.wh == (80, 112)


@pytest.mark.parametrize("wh", [(64, 64), (96, 160), (160, 96), (384, 32)])
def test_simcc_bins_show_the_size(tmp_path: Path, wh: tuple[int, int]) -> None:
    module = rtmpose.build(Variant("rtmpose", "160x1x1x1x1", wh, schema="coco17"))
    loaded = load_checkpoint(saved(module.state_dict(), tmp_path))
    assert loaded.spec.image.wh == wh
