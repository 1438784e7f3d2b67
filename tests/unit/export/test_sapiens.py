"""Sapiens' heads and sizes: facts that its tensors show or not, and refusals."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from edge.catalog.specs_sapiens import GOLIATH_PARTS, LIP_PARTS
from export.checkpoint import LoadedModel, load_checkpoint, with_input
from export.exporter import Target, export_model
from export.inputs import drawn_inputs
from export.models import sapiens
from export.recognise import recognise
from export.registry import Variant, model_name
from runtimes.errors import CheckpointError
from runtimes.registry import ENGINES
from runtimes.spec import Runtime

State = dict[str, torch.Tensor]
# 192 wide, one block, heads of 8 channels, the smallest input of the family's aspect but one.
POSE = Variant("sapiens", "192x1x3-head8", (96, 128), schema="coco17")
SEGMENT = replace(POSE, schema=None, classes=GOLIATH_PARTS, dense="segment")
DEPTH = replace(POSE, schema=None, dense="depth")
NORMAL = replace(POSE, schema=None, dense="normal")
VARIANTS = {
    "pose": POSE,
    "segment28": SEGMENT,
    "segment20": replace(SEGMENT, classes=LIP_PARTS),
    "depth": DEPTH,
    "normal": NORMAL,
}


def network(variant: Variant, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    module = sapiens.build(variant).eval().requires_grad_(requires_grad=False)
    nn.init.normal_(module.backbone.pos_embed, std=0.5)
    return module


def saved(module: nn.Module, directory: Path) -> Path:
    path = directory / "model.pth"
    torch.save({"state_dict": module.state_dict()}, path)
    return path


def loaded(variant: Variant, directory: Path) -> LoadedModel:
    return load_checkpoint(saved(network(variant), directory))


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_variant_is_loaded_as_what_it_is(variant: Variant, tmp_path: Path) -> None:
    model = loaded(variant, tmp_path)
    image = torch.randn(2, 3, 128, 96)
    (output,) = model.module(image)

    assert model.variant == variant
    assert output.shape[1:] == model.spec.outputs[0].shape[1:]
    assert torch.equal(output, network(variant)(image)[0])
    assert model.spec.model == model_name(variant)


def test_dense_heads_have_the_official_keys_and_shapes() -> None:
    """The layout of facebookresearch/sapiens: seg/mmseg/models/decode_heads and seg/configs, sizes as there."""
    expected = {
        ("segment", 28): (3, 3, 768),
        ("segment", 20): (3, 3, 768),
        ("normal", 3): (3, 3, 768),
        ("depth", 1): (4, 2, 384),
    }
    for (task, outputs), (deconvs, convs, channels) in expected.items():
        classes = {28: GOLIATH_PARTS, 20: LIP_PARTS}.get(outputs, ())
        variant = Variant("sapiens", "0.3b", (768, 1024), classes=classes, dense=task)
        with torch.device("meta"):
            state = sapiens.build(variant).state_dict()
        wanted = {
            f"deconv_layers.{3 * i}.weight": (1024 if i == 0 else channels, channels, 4, 4)
            for i in range(deconvs)
        }
        for i in range(convs):
            wanted[f"conv_layers.{3 * i}.weight"] = (channels, channels, 1, 1)
            wanted[f"conv_layers.{3 * i}.bias"] = (channels,)
        wanted |= {"conv_seg.weight": (outputs, channels, 1, 1), "conv_seg.bias": (outputs,)}
        found = {
            key.removeprefix("decode_head."): tuple(value.shape)
            for key, value in state.items()
            if not key.startswith("backbone.")
        }
        assert found == wanted
        assert recognise(Path("file"), state)[0] == variant


def test_patches_are_padded_where_the_authors_configs_say_so() -> None:
    found = {
        name: sapiens.build(variant).backbone.patch_embed.projection.padding[0]
        for name, variant in VARIANTS.items()
    }
    assert found == {"pose": 2, "segment28": 0, "segment20": 2, "depth": 0, "normal": 2}


def test_norms_forget_the_scale_of_what_they_are_given(tmp_path: Path) -> None:
    """Instance norm has no parameters, and takes away any gain of the convolution before it."""
    module = network(POSE)
    image = torch.randn(1, 3, 128, 96)
    (before,) = module(image)
    for index in (0, 3):
        module.head.deconv_layers[index].weight.mul_(50.0)
    (after,) = module(image)

    assert not any("deconv_layers.1" in key for key in module.state_dict())
    torch.testing.assert_close(after, before, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("size", "schema", "name"),
    [
        ("0.3b", "coco17", "sapiens-0.3b"),
        ("2b", "coco133", "sapiens-2b-wholebody"),
        ("1b", "sapiens308", "sapiens-1b-308"),
        ("192x3x6-head96", "coco17", "sapiens-192x3x6-head96-coco17-1024x768"),
    ],
)
def test_names(size: str, schema: str, name: str) -> None:
    assert model_name(Variant("sapiens", size, (768, 1024), schema=schema)) == name


def test_dense_variants_are_named_by_their_map() -> None:
    assert model_name(DEPTH) == "sapiens-192x1x3-head8-depth-128x96"
    assert model_name(SEGMENT) == "sapiens-192x1x3-head8-28classes-128x96"


def _fewer_positions(state: State) -> None:
    state["backbone.pos_embed"] = state["backbone.pos_embed"][:, :40]


def _narrower(state: State) -> None:
    state["backbone.pos_embed"] = state["backbone.pos_embed"][..., :160]


def _other_channels(state: State) -> None:
    state["head.conv_layers.0.weight"] = torch.zeros(9, 9, 1, 1)


def _bn(state: State) -> None:
    state["head.deconv_layers.1.weight"] = torch.ones(8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_fewer_positions, "40 positions are no grid of aspect 3:4"),
        (_narrower, "is 160 wide, and its tensors do not show how many attention heads"),
        (_other_channels, "looks like sapiens-192x1x3-head9, but"),
        (_bn, "of no known family"),
        (lambda state: state.pop("backbone.layers.0.ln2.bias"), "1 tensor is missing"),
        (lambda state: state.pop("head.final_layer.weight"), "of no known family"),
        (lambda state: state.update(extra=torch.zeros(1)), "1 tensor is unexpected"),
    ],
)
def test_weights_that_fit_no_variant_say_how(change, said: str, tmp_path: Path) -> None:
    state = dict(network(POSE).state_dict())
    change(state)
    path = tmp_path / "model.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pruned_model_is_refused() -> None:
    with torch.device("meta"):
        whole = sapiens.build(Variant("sapiens", "0.3b", (768, 1024), schema="coco17"))
    pruned = {key: value for key, value in whole.state_dict().items() if ".layers.7." not in key}
    with pytest.raises(CheckpointError, match="lacks block 7 of its backbone"):
        sapiens.recognise(pruned)


def _nineteen_classes(state: State) -> None:
    for end in ("weight", "bias"):
        state[f"decode_head.conv_seg.{end}"] = state[f"decode_head.conv_seg.{end}"][:19]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            _nineteen_classes,
            "gives 19 maps; known are 1 (depth), 3 (normals), 20 (body parts), 28 (body parts)",
        ),
        (lambda state: state.pop("decode_head.conv_seg.bias"), "1 tensor is missing"),
        (lambda state: state.pop("decode_head.conv_layers.6.bias"), "1 tensor is missing"),
    ],
)
def test_maps_of_no_known_head_say_how(change, said: str, tmp_path: Path) -> None:
    state = dict(network(SEGMENT).state_dict())
    change(state)
    path = tmp_path / "model.pth"
    torch.save({"state_dict": state}, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_inputs_interpolate_the_positions(tmp_path: Path) -> None:
    model = with_input(loaded(DEPTH, tmp_path), (64, 80))
    (output,) = model.module(torch.zeros(1, 3, 80, 64))
    assert model.spec.image.wh == (64, 80)
    assert output.shape[1:] == model.spec.outputs[0].shape[1:] == (1, 80, 64)
    with pytest.raises(CheckpointError, match="multiples of 16"):
        with_input(model, (70, 80))


@pytest.mark.parametrize("runtime", ENGINES)
def test_it_passes_the_gate(runtime: Runtime, tmp_path: Path) -> None:
    """Keypoints; maps are exported in tests/integration/test_dense.py."""
    model = loaded(POSE, tmp_path)
    (made,) = export_model(
        model, [Target(runtime, "fp32")], tmp_path, inputs=drawn_inputs(model.spec, 2)
    )
    assert made.passed
    assert made.parity[0].raw_error <= 1e-3
    assert not list(made.path.glob("*.data"))  # weights lie beside a graph from 2 GB on only
