"""The CSPNeXt heatmap networks: sizes and heads read from tensors, mmpose's layout and figures."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from export.models import rtmdet, rtmpose
from export.models.cspnext import build, candidates, recognise, resize, spec
from export.models.cspnext_backbone import CSPNeXtSize
from export.models.cspnext_heads import DECONV_CHANNELS, DeconvHead, PyramidHead
from export.registry import Hints, Variant
from runtimes.codec_spec import AssociativeEmbeddingCodec, HeatmapCodec
from runtimes.errors import CheckpointError

WH = (192, 256)
SMALL = CSPNeXtSize(64, (1, 1, 1, 1))
State = dict[str, torch.Tensor]


def state_of(variant: Variant) -> State:
    with torch.device("meta"):
        return dict(build(variant).state_dict())


@pytest.mark.parametrize("size", ["t", "s-fpn", "m", "x-fpn", "614x1x2x2x1", "160x1x1x1x2-fpn"])
def test_size_and_head_are_read_off_the_tensors(size: str) -> None:
    variant = Variant("cspnext", size, WH, schema="coco133")
    assert recognise(state_of(variant)) == variant


def test_a_bottom_up_network_is_read_where_its_keypoints_are_named() -> None:
    """Tags double the channels: 34 may be 34 keypoints, or 17 and their tags."""
    variant = Variant("cspnext", "160x1x1x1x1-fpn-ae", (96, 64), schema="coco17")
    state = state_of(variant)
    hints = Hints(input_wh=(96, 64), keypoint_count=17)
    assert recognise(state, hints) == variant
    plain = recognise(state)
    assert plain is not None
    assert (plain.size, plain.keypoint_count) == ("160x1x1x1x1-fpn", 34)
    made = spec(variant, "made")
    assert (made.task, made.crop.kind) == ("pose-bottomup", "letterbox-centre")
    assert isinstance(made.codec, AssociativeEmbeddingCodec)
    assert made.codec.keypoint_order[7:9] == (11, 12)  # hips before elbows
    with torch.no_grad():
        maps = build(variant).eval()(torch.zeros(1, 3, 64, 96))
    assert [each.shape for each in maps] == [(1, 17, 16, 24)] * 2
    assert [each.shape[1:] for each in made.outputs] == [(17, 16, 24)] * 2


def test_every_candidate_is_recognised_and_no_relative() -> None:
    for variant in candidates():
        state = state_of(variant)
        assert recognise(state) == variant
        assert rtmpose.recognise(state) is None
        assert rtmdet.recognise(state) is None
    with torch.device("meta"):
        for family, size in ((rtmpose, "t"), (rtmdet, "tiny")):
            relative = next(each for each in family.candidates() if each.size == size)
            assert recognise(family.build(relative).state_dict()) is None


# mmpose, projects/rtmpose/README.md (e1a6874): millions of parameters, and 1e9 FLOPs as mmengine counts them.
@pytest.mark.parametrize(
    ("size", "params", "flops"),
    [
        ("t", 6.03, 1.43),
        ("s", 8.58, 1.78),
        ("m", 17.53, 3.05),
        ("l", 32.44, 5.32),
        ("x", 54.92, None),
    ],
)
def test_costs_are_mmposes(size: str, params: float, flops: float | None) -> None:
    with torch.device("meta"):
        network = build(Variant("cspnext", size, WH, schema="coco17")).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 256, 192))
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(params, abs=0.006)
    if flops is not None:  # theirs counts norms and pooling too
        assert counter.get_total_flops() / 2e9 == pytest.approx(flops, abs=0.02)


def test_the_deconvolution_head_is_mmposes() -> None:
    """Against a transcription of mmpose's HeatmapHead from its configs, from the tensors of its checkpoints."""
    torch.manual_seed(0)
    head = DeconvHead(SMALL, 5).eval()
    for name, tensor in head.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 2)
        elif "running_mean" in name:
            tensor.normal_()
    state, features = head.state_dict(), torch.randn(2, 64, 3, 2)
    x = features
    for index in (0, 3, 6):
        x = functional.conv_transpose2d(
            x, state[f"deconv_layers.{index}.weight"], stride=2, padding=1
        )
        norm = [
            state[f"deconv_layers.{index + 1}.{name}"]
            for name in ("running_mean", "running_var", "weight", "bias")
        ]
        x = functional.batch_norm(x, *norm).relu()
    wanted = functional.conv2d(x, state["final_layer.weight"], state["final_layer.bias"])
    with torch.no_grad():
        found = head((torch.zeros(0), torch.zeros(0), features))
    assert found.shape == (2, 5, 24, 16)
    torch.testing.assert_close(found, wanted)
    assert {tensor.shape[1] for tensor in (state["final_layer.weight"],)} == {DECONV_CHANNELS}


def test_the_light_head_reads_all_three_maps() -> None:
    torch.manual_seed(0)
    head = PyramidHead(SMALL, 5).eval()
    maps = [
        torch.randn(1, channels, side, side, requires_grad=True)
        for channels, side in ((16, 8), (32, 4), (64, 2))
    ]
    found = head(tuple(maps))
    assert found.shape == (1, 5, 16, 16)
    found.square().sum().backward()
    assert all(each.grad is not None and bool((each.grad != 0).any()) for each in maps)


@pytest.mark.parametrize("size", ["160x1x1x1x1", "160x1x1x1x1-fpn"])
def test_any_input_of_multiples_of_32(size: str) -> None:
    variant = resize(Variant("cspnext", size, WH, schema="body26"), (96, 160))
    network = build(variant).eval()
    with torch.no_grad():
        (maps,) = network(torch.zeros(1, 3, 160, 96))
    made = spec(variant, "made")
    assert maps.shape[1:] == made.outputs[0].shape[1:] == (26, 40, 24)
    assert made.crop.udp
    # two bins of 48 x 64, and the same part of other maps (mmpose's UDPHeatmap)
    assert made.codec == HeatmapCodec(refine="udp", blur_kernel=11, sigma=(1.0, 1.25))
    with pytest.raises(CheckpointError, match="multiples of 32, not 100x128"):
        resize(variant, (100, 128))


def test_the_input_is_the_configs() -> None:
    state = state_of(Variant("cspnext", "t", WH, schema="coco17"))
    found = recognise(state, Hints(input_wh=(288, 384)))
    assert found is not None
    assert found.input_wh == (288, 384)
    with pytest.raises(CheckpointError, match="multiples of 32"):
        recognise(state, Hints(input_wh=(100, 128)))
