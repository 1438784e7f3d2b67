"""Window attention (ViTPose++, 3.3) against attention over all tokens under a mask that the definition gives."""

from pathlib import Path

import pytest
import torch

from export.checkpoint import load_checkpoint, with_input
from export.models.vit import Vit, grid_of, padding_of
from export.models.vit_sizes import VitSize
from export.models.vit_windows import (
    WindowAttention,
    Windows,
    attention_of,
    parse_windows,
    spell_windows,
)
from export.models.vitpose import build
from export.models.vitpose_sizes import plan_of, spell_plan
from export.random_weights import random_variant
from export.registry import Variant
from export.student_file import Card, write_student
from runtimes.errors import CheckpointError

ROWS, COLUMNS = 8, 12
DIM, HEADS = 12, 3
CASES = [
    Windows((4, 4)),
    Windows((6, 2)),
    Windows((4, 4), shift=True),
    Windows((6, 8), shift=True),  # one window of rows: only columns shift
    Windows((12, 4), shift=True, pool=True),  # one of columns
    Windows((12, 8), shift=True),
    Windows((4, 2), pool=True),
    Windows((4, 4), shift=True, pool=True),
    Windows((4, 4), relative=True),
    Windows((6, 4), shift=True, pool=True, relative=True),
    Windows(None, relative=True),
]


def window_of(row: int, column: int, windows: Windows) -> tuple[tuple[int, int], tuple[bool, bool]]:
    """The window of a patch, and on which side of the image's edges it lay before the windows were moved."""
    width, height = windows.wh or (COLUMNS, ROWS)
    down = height // 2 if windows.shift and height < ROWS else 0
    right = width // 2 if windows.shift and width < COLUMNS else 0
    y, x = (row - down) % ROWS, (column - right) % COLUMNS
    return (y // height, x // width), (row < down, column < right)


def offsets(attention: WindowAttention, windows: Windows, n: int, m: int) -> torch.Tensor:
    """The sum of both tables' rows for patch n as the query and m as the key, both of one window."""
    width, height = windows.wh or (COLUMNS, ROWS)
    (y, x), (row, column) = divmod(n, COLUMNS), divmod(m, COLUMNS)
    return attention.rel_pos_h[y - row + height - 1] + attention.rel_pos_w[x - column + width - 1]


def by_definition(
    attention: WindowAttention, windows: Windows, tokens: torch.Tensor
) -> torch.Tensor:
    """Each token alone: softmax over the keys of its own window, and over the windows' means."""
    places = [window_of(n // COLUMNS, n % COLUMNS, windows) for n in range(ROWS * COLUMNS)]
    query, key, value = attention.qkv(tokens).chunk(3, dim=-1)
    if windows.pool:
        members = {
            place[0]: [n for n, p in enumerate(places) if p[0] == place[0]] for place in places
        }
        means = torch.stack([tokens[:, each].mean(dim=1) for each in members.values()], dim=1)
        _, pooled_key, pooled_value = attention.qkv(means).chunk(3, dim=-1)
        key, value = torch.cat([key, pooled_key], 1), torch.cat([value, pooled_value], 1)
    mixed = torch.zeros_like(tokens)
    size = DIM // HEADS
    for n, place in enumerate(places):
        seen = [m for m, other in enumerate(places) if other == place]
        seen += range(len(places), key.shape[1])
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            logits = (key[:, seen, part] * query[:, n : n + 1, part]).sum(-1) / size**0.5
            if windows.relative:
                own = [m for m in seen if m < len(places)]
                away = torch.stack([offsets(attention, windows, n, m) for m in own])
                logits[:, : len(own)] += query[:, n, part] @ away.T / size**0.5
            weights = logits.softmax(-1)[..., None]
            mixed[:, n, part] = (weights * value[:, seen, part]).sum(1)
    return attention.proj(mixed)


@pytest.mark.parametrize("windows", CASES, ids=spell_windows)
def test_windows_attend_as_their_definition_says(windows: Windows) -> None:
    torch.manual_seed(0)
    attention = attention_of(1, DIM, HEADS, windows, (ROWS, COLUMNS))
    assert isinstance(attention, WindowAttention)
    tokens = torch.randn(2, ROWS * COLUMNS, DIM)
    with torch.no_grad():
        attention.qkv.weight.mul_(4)
        for name, parameter in attention.named_parameters():
            if "rel_pos" in name:
                parameter.normal_()
        torch.testing.assert_close(
            attention(tokens), by_definition(attention, windows, tokens), rtol=1e-4, atol=1e-5
        )


def test_which_blocks_shift_and_which_attend_to_everything() -> None:
    windows = Windows((4, 4), shift=True, pool=True, interval=3)
    kinds = [attention_of(block, DIM, HEADS, windows, (ROWS, COLUMNS)) for block in range(6)]
    moved = [each.moved if isinstance(each, WindowAttention) else None for each in kinds]
    assert moved == [(0, 0), (2, 2), None, (2, 2), (0, 0), None]


def test_one_window_over_everything_is_full_attention() -> None:
    torch.manual_seed(0)
    size = VitSize(16, 2, 2)
    whole = Vit(size, (48, 64), windows=Windows((3, 4), shift=True))
    full = Vit(size, (48, 64))
    full.load_state_dict(whole.state_dict())  # windows add no tensors
    image = torch.randn(2, 3, 64, 48)
    with torch.no_grad():
        torch.testing.assert_close(whole(image), full(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("stride", "padding"), [(16, 2), (8, 4), (4, 6)])
def test_patches_that_overlap_give_a_finer_grid(stride: int, padding: int) -> None:
    # PatchEmbed of ViTAE-Transformer/ViTPose: stride 16 // ratio, padding 4 + 2 * (ratio // 2 - 1)
    assert padding_of(stride) == padding
    assert grid_of((192, 256), padding, stride) == (256 // stride, 192 // stride)


@pytest.mark.parametrize(
    "size",
    [
        "b-stride8",
        "b-stride8-maps2",
        "b-window4x4",
        "b-stride8-window8x8-shift-pool-simple",
        "192x6x3-stride8-window12x16-shift-pool-full3-pixelshuffle",
        "s-pixelshuffle-token",
        "s-relpos-simple",
        "s-stride8-window8x8-pool-full4-relpos-pixelshuffle",
        "b-stride8-window8x8-shift-pool-ae",
    ],
)
def test_sizes_are_spelled_as_they_are_read(size: str) -> None:
    assert spell_plan(plan_of(size)) == size


@pytest.mark.parametrize(
    "size",
    [
        "b-stride4",
        "b-window8",
        "b-window0x8",
        "b-window8x8-pool-shift",
        "b-maps2",
        "b-window8x8-token",
    ],
)
def test_options_that_mean_nothing_are_refused(size: str) -> None:
    with pytest.raises(CheckpointError, match=f"vitpose has no size '{size}'"):
        plan_of(size)


def test_windows_that_do_not_fit_are_refused() -> None:
    assert parse_windows("-window5x4") == Windows((5, 4))
    with pytest.raises(
        CheckpointError, match="windows of 5x4 patches do not divide a grid of 12x16"
    ):
        build(Variant("vitpose", "32x1x2-window5x4-simple", (192, 256), schema="coco17"))
    fits = random_variant(Variant("vitpose", "32x1x2-window4x4-simple", (64, 64), schema="coco17"))
    with pytest.raises(CheckpointError, match="do not divide a grid of 5x4; give an input size"):
        with_input(fits, (80, 64))


def test_another_input_moves_windows_and_masks() -> None:
    made = random_variant(
        Variant("vitpose", "32x2x2-window2x2-shift-simple", (64, 64), schema="coco17")
    )
    wide = with_input(made, (96, 64))
    mask = wide.module.backbone.layers[1].attn.mask
    assert tuple(mask.shape) == (1, 2 * 6, 4, 4)
    with torch.no_grad():
        assert tuple(wide.module(torch.zeros(1, 3, 64, 96))[0].shape) == (1, 17, 16, 24)
    assert tuple(made.module.backbone.layers[1].attn.mask.shape) == (1, 2 * 4, 4, 4)


@pytest.mark.parametrize(
    "size",
    ["48x2x3-window4x4-relpos", "48x4x3-window2x2-full2-relpos", "48x2x3-relpos-simple"],
)
def test_relative_positions_show_heads_and_windows(tmp_path: Path, size: str) -> None:
    """Tables are as in ViTAE-Transformer/ViTDet: 2 * side - 1 rows, as wide as a head."""
    made = random_variant(Variant("vitpose", size, (192, 256), schema="coco17"))
    state = made.module.state_dict()
    full = "window" not in size
    rows = 2 * 16 - 1 if full else 2 * int(size[13]) - 1
    assert state["backbone.layers.0.attn.rel_pos_h"].shape == (rows, 16)
    assert state["backbone.layers.0.attn.rel_pos_w"].shape == (rows, 16)
    torch.save(state, tmp_path / "relative.pth")
    loaded = load_checkpoint(tmp_path / "relative.pth")
    assert loaded.variant == made.variant
    image = torch.randn(1, 3, 256, 192)
    with torch.no_grad():
        assert torch.equal(loaded.module(image)[0], made.module(image)[0])
    if full or "full" in size:
        with pytest.raises(
            CheckpointError, match="relative positions of the whole input, which is"
        ):
            with_input(loaded, (96, 128))
    else:
        assert with_input(loaded, (128, 128)).spec.image.wh == (128, 128)
    broken = state | {"backbone.layers.1.attn.rel_pos_h": torch.zeros(5, 16)}
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(CheckpointError, match="relative positions for windows of"):
        load_checkpoint(tmp_path / "broken.pth")


SPELLED = "32x2x2-stride8-window4x4-shift-pool"


def test_a_size_spelled_out_is_loaded_and_one_that_differs_is_refused(tmp_path: Path) -> None:
    made = random_variant(Variant("vitpose", SPELLED, (96, 128), schema="coco17"))
    path = tmp_path / "windows.pth"
    torch.save({"state_dict": made.module.state_dict()}, path)
    image = torch.randn(1, 3, 128, 96)
    loaded = load_checkpoint(path, size=SPELLED)
    assert (loaded.size, loaded.spec.image.wh) == (SPELLED, (96, 128))
    with torch.no_grad():
        assert torch.equal(loaded.module(image)[0], made.module(image)[0])
    # a lone deconvolution is that of stride 8; windows leave no trace
    assert load_checkpoint(path, heads=2).size == "32x2x2-stride8"
    with pytest.raises(
        CheckpointError, match=r"is 32x2 \(channels x blocks\), but --size says 32x3x2"
    ):
        load_checkpoint(path, size="32x3x2-stride8")
    with pytest.raises(CheckpointError, match=r"windows.pth: windows of 5x4 patches do not divide"):
        load_checkpoint(path, size="32x2x2-stride8-window5x4")


def test_a_card_and_a_config_say_the_options(tmp_path: Path) -> None:
    variant = Variant("vitpose", "32x1x2-stride8-maps2", (96, 128), schema="coco17")
    state = random_variant(variant).module.state_dict()
    config = "backbone=dict(type='ViT', img_size=(128, 96), ratio=2, num_heads=2, mlp_ratio=4)"
    torch.save({"state_dict": state, "meta": {"config": config}}, tmp_path / "ratio.pth")
    loaded = load_checkpoint(tmp_path / "ratio.pth")
    assert loaded.variant == variant
    assert loaded.spec.outputs[0].shape == (-1, 17, 64, 48)

    windowed = Variant("vitpose", SPELLED + "-simple", (96, 128), schema="coco17")
    card = Card(
        model="mine", family="vitpose", size=windowed.size, input_wh=(96, 128), schema="coco17"
    )
    path = tmp_path / "student.safetensors"
    write_student(path, build(windowed), card)
    assert load_checkpoint(path).variant == windowed
    with pytest.raises(CheckpointError, match="whose card says the size; leave size out"):
        load_checkpoint(path, size="b")


def test_tags_are_seen_where_the_file_names_its_keypoints(tmp_path: Path) -> None:
    """Eq. 5: 2 K channels, as mmpose 1.x's AssociativeEmbeddingHead has them; heatmaps first."""
    made = random_variant(Variant("vitpose", "32x1x2-ae", (64, 64), schema="coco17"))
    state = made.module.state_dict()
    assert state["head.final_layer.weight"].shape[0] == 34
    path = tmp_path / "tags.pth"
    torch.save(state, path)
    named = load_checkpoint(path, task="coco", heads=2)
    assert named.variant == made.variant
    assert (named.spec.task, named.spec.crop.kind) == ("pose-bottomup", "letterbox-centre")
    # as mmpose's configs join them: hips before elbows
    assert named.spec.codec.keypoint_order[:9] == (0, 1, 2, 3, 4, 5, 6, 11, 12)
    features = torch.randn(1, 32, 4, 4)
    with torch.no_grad():
        heatmaps, tags = named.module.head(features)
        maps = named.module.head.final_layer(named.module.head.deconv_layers(features))
    assert torch.equal(torch.cat([heatmaps, tags], dim=1), maps)
    assert load_checkpoint(path, heads=2).variant.keypoint_count == 34  # of no known set
    assert load_checkpoint(path, size="32x1x2-ae").variant == made.variant


@pytest.mark.parametrize(
    ("keypoints", "stride", "name"), [(17, "", "coco17"), (14, "-stride8", "crowdpose14")]
)
def test_the_papers_minimal_decoder(tmp_path: Path, keypoints: int, stride: str, name: str) -> None:
    """Eq. 4: the bins of a patch are the channels of its feature, row by row."""
    size = f"32x1x2{stride}-pixelshuffle"
    made = random_variant(Variant("vitpose", size, (96, 128), schema=name))
    torch.save(made.module.state_dict(), tmp_path / "minimal.pth")
    loaded = load_checkpoint(tmp_path / "minimal.pth", size=size)
    assert loaded.variant == made.variant
    if not stride:
        assert load_checkpoint(tmp_path / "minimal.pth", heads=2).variant == made.variant

    up = 2 if stride else 4
    features = torch.randn(1, 32, 3, 5)
    with torch.no_grad():
        (maps,) = loaded.module.head(features)
        channels = loaded.module.head.final_layer(features)[0]
    assert maps.shape == (keypoints, 3 * up, 5 * up)
    for k, y, x in [(0, 0, 0), (1, 2 * up + 1, up), (keypoints - 1, 3 * up - 1, 5 * up - 1)]:
        bin_of_patch = k * up**2 + (y % up) * up + x % up
        assert maps[k, y, x] == channels[bin_of_patch, y // up, x // up]
