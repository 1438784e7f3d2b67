"""The ViTPose family: sizes and decoders read from tensors, other input sizes, preprocessing of each keypoint set."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge.catalog.specs_vitpose import vitpose_spec
from export.checkpoint import LoadedModel, load_checkpoint, with_input
from export.models.vit import Attention, Vit, at_input, grid_of, resize_positions
from export.models.vit_sizes import VitSize
from export.models.vitpose import build, recognise
from export.models.vitpose_decoders import SimpleDecoder
from export.models.vitpose_sizes import PUBLISHED, SIZES, plan_of
from export.registry import Variant
from runtimes.errors import CheckpointError, InputError

TINY = Variant("vitpose", "384x3x12", (192, 256), schema="coco17")
State = dict[str, torch.Tensor]


def state_of(variant: Variant) -> State:
    with torch.device("meta"):
        return dict(build(variant).state_dict())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    torch.manual_seed(3)
    state = build(TINY).state_dict()
    state["backbone.pos_embed"].normal_()
    path = tmp_path_factory.mktemp("tiny") / "tiny.pth"
    torch.save(state, path)
    return load_checkpoint(path)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wh", [(192, 256), (288, 384), (256, 256)], ids=str)
def test_size_decoder_and_input_are_read_off_the_tensors(size: str, wh: tuple[int, int]) -> None:
    variant = Variant("vitpose", size, wh, schema="coco133")
    assert recognise(state_of(variant)) == variant


def test_a_token_is_seen_in_the_tensors() -> None:
    variant = Variant("vitpose", "s-simple-token", (192, 256), schema="coco17")
    assert state_of(variant)["backbone.token"].shape == (1, 1, 384)
    assert recognise(state_of(variant)) == variant


def test_a_size_may_say_it_all() -> None:
    plan = plan_of("192x6x3-simple-token")
    assert (plan.backbone, plan.tokens) == (VitSize(192, 6, 3), 1)
    assert isinstance(plan.head(17), SimpleDecoder)
    assert plan_of("l") == plan_of("1024x24x16")
    for wrong in ("xl", "100x6x3", "192x6x0", "192x0x3", "192x6", "s-simple-minimal", ""):
        with pytest.raises(CheckpointError, match="vitpose has no size"):
            plan_of(wrong)


def test_a_token_is_attended_to_and_dropped() -> None:
    """As many features as without it, but others; the same where there are no blocks to attend to it."""
    torch.manual_seed(0)
    image = torch.randn(2, 3, 64, 48)
    for depth, heard in ((2, True), (0, False)):
        plain, taught = (Vit(VitSize(32, depth, 2), (48, 64), tokens=n) for n in (0, 1))
        taught.load_state_dict(plain.state_dict() | {"token": torch.randn(1, 1, 32)})
        without, beside = plain(image), taught(image)
        assert without.shape == beside.shape
        assert torch.equal(without, beside) != heard


def test_heads_are_those_of_the_published_configs() -> None:
    # ViTPose's configs: num_heads 12, 12, 16, 16; the small one has heads of 32
    assert {name: size.heads for name, size in PUBLISHED.items()} == {
        "s": 12,
        "b": 12,
        "l": 16,
        "h": 16,
    }
    assert PUBLISHED["s"].dim // PUBLISHED["s"].heads == 32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"backbone.pos_embed": (1, 190, 384)}, "190 positions are no grid"),
        (
            {"backbone.patch_embed.projection.weight": (400, 3, 16, 16)},
            "is 400 wide, and its tensors do not show how many attention heads that is; give --heads N",
        ),
    ],
)
def test_tensors_of_no_known_network_are_refused(
    changes: dict[str, tuple[int, ...]], said: str
) -> None:
    state = state_of(TINY) | {k: torch.empty(v, device="meta") for k, v in changes.items()}
    with pytest.raises(CheckpointError, match=said):
        recognise(state)


def test_a_checkpoint_that_lacks_a_block_is_not_taken_for_a_shallower_network() -> None:
    state = state_of(Variant("vitpose", "s", (192, 256), schema="coco17"))
    for block in (0, 7, 10):
        cut = {key: value for key, value in state.items() if f".layers.{block}." not in key}
        with pytest.raises(CheckpointError, match=f"vitpose, but lacks block {block} of"):
            recognise(cut)


def test_a_checkpoint_cut_short_does_not_pass_for_the_named_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = build(Variant("vitpose", "s", (192, 256), schema="coco17")).state_dict()
    without = {key: value for key, value in state.items() if ".layers.11." not in key}
    torch.save(without, tmp_path / "without.pth")
    with pytest.raises(CheckpointError, match="holds vitpose-384x11x12-coco17-256x192, not"):
        load_checkpoint(tmp_path / "without.pth", name="vitpose-s")
    begun = {key: value for key, value in state.items() if ".layers.11.ffn." not in key}
    torch.save(begun, tmp_path / "begun.pth")
    with pytest.raises(CheckpointError, match="vitpose-s, but 4 tensors are missing"):
        load_checkpoint(tmp_path / "begun.pth")


def test_what_is_of_another_family_is_left_to_it() -> None:
    state = state_of(TINY)
    assert recognise({k: v for k, v in state.items() if k != "backbone.pos_embed"}) is None
    sapiens = state | {"head.conv_layers.0.weight": torch.empty(768, 768, 1, 1, device="meta")}
    assert recognise(sapiens) is None


def test_attention_equals_softmax_of_the_products() -> None:
    torch.manual_seed(1)
    attention = Attention(24, 3)
    tokens = torch.randn(2, 5, 24)
    with torch.no_grad():
        parts = attention.qkv(tokens).reshape(2, 5, 3, 3, 8).permute(2, 0, 3, 1, 4)
        weights = (parts[0] @ parts[1].transpose(-2, -1) / 8**0.5).softmax(-1)
        wanted = attention.proj((weights @ parts[2]).transpose(1, 2).reshape(2, 5, 24))
        torch.testing.assert_close(attention(tokens), wanted, rtol=1e-5, atol=1e-5)


def test_the_simple_decoder_is_relu_bilinear_and_a_convolution() -> None:
    torch.manual_seed(1)
    decoder = SimpleDecoder(2, 3, 1)
    features = torch.randn(1, 2, 4, 3)
    planes = [
        cv2.resize(np.maximum(plane, 0), (12, 16), interpolation=cv2.INTER_LINEAR)
        for plane in features[0].numpy()
    ]
    weight, bias = (t.detach().numpy() for t in decoder.final_layer.parameters())
    wanted = np.einsum("kc,chw->khw", weight[:, :, 0, 0], np.stack(planes)) + bias[:, None, None]
    with torch.no_grad():
        np.testing.assert_allclose(decoder(features)[0].numpy(), wanted, atol=1e-5)


def test_grids_of_padded_patches() -> None:
    assert grid_of((192, 256)) == (16, 12)
    assert grid_of((288, 384)) == (24, 18)
    assert grid_of((768, 1024), padding=0) == (64, 48)


def test_positions_are_stretched_by_the_usual_bicubic() -> None:
    positions = np.random.default_rng(5).standard_normal((16, 12, 3)).astype(np.float32)
    stretched = resize_positions(torch.from_numpy(positions).reshape(1, 192, 3), (16, 12), (24, 18))
    wanted = cv2.resize(positions, (18, 24), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(stretched[0].reshape(24, 18, 3).numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("wh", [(288, 384), (256, 192), (128, 160)], ids=str)
def test_another_input_stretches_the_positions_and_nothing_else(
    tiny: LoadedModel, wh: tuple[int, int]
) -> None:
    before = tiny.module.backbone.pos_embed.clone()
    resized = with_input(tiny, wh)
    with torch.no_grad():
        (maps,) = resized.module(torch.zeros(1, 3, wh[1], wh[0]))

    assert resized.spec.image.wh == wh
    assert (
        tuple(maps.shape[1:]) == resized.spec.outputs[0].shape[1:] == (17, wh[1] // 4, wh[0] // 4)
    )
    changed, kept = resized.module.state_dict(), tiny.module.state_dict()
    shared = [key for key in kept if changed[key].data_ptr() == kept[key].data_ptr()]
    assert set(kept) - set(shared) == {"backbone.pos_embed"}
    assert torch.equal(tiny.module.backbone.pos_embed, before)


def test_networks_without_a_transformer_need_no_stretching() -> None:
    plain = torch.nn.Conv2d(3, 1, 1)
    assert at_input(plain, (64, 64)) is plain
    vit = Vit(VitSize(8, 1, 2), (32, 32))
    vit.stretch((32, 32))
    assert vit.grid == (2, 2)


def test_sides_must_be_whole_patches(tiny: LoadedModel) -> None:
    with pytest.raises(CheckpointError, match="multiples of 16, not 200x256"):
        with_input(tiny, (200, 256))
    with pytest.raises(InputError, match="multiples of 16"):
        vitpose_spec("any", (200, 256), "coco17")


@pytest.mark.parametrize(
    ("schema", "udp"),
    [("coco17", True), ("mpii16", True), ("aic14", False), ("ap10k17", False), ("coco133", False)],
)
def test_only_coco_and_mpii_are_unbiased(schema: str, udp: bool) -> None:  # noqa: FBT001 - parametrised
    # TopDownAffine(use_udp) and test_cfg of the authors' ViTPose+ configs
    spec = vitpose_spec("any", (192, 256), schema)
    assert spec.crop.udp is udp
    assert spec.codec.refine == ("udp" if udp else "shift-inside")
    assert spec.codec.shift_flip is not udp
    assert spec.outputs[0].shape[2:] == (64, 48)


def test_a_saved_model_loads_at_the_input_it_was_stretched_to(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    path = tmp_path / "wide.pth"
    torch.save(with_input(tiny, (288, 384)).module.state_dict(), path)
    assert load_checkpoint(path).spec.image.wh == (288, 384)
