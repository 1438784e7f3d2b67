"""Multiply-accumulates, weights and bytes of networks: by hand, and against published figures."""

import pytest
import torch
from torch import nn

from edge.catalog.lookup import CATALOG
from edge.catalog.specs import image_input
from export.cost import network_cost
from export.fold import fold_batchnorm
from export.registry import load_family, variant_of
from runtimes.codec_spec import HeatmapCodec
from runtimes.spec import CropSpec, ImageSpec, KeypointsSpec, ModelSpec, TensorSpec

WIDTH, HEIGHT = 32, 16


class Hand(nn.Module):
    """A network whose operations are counted by hand in the tests."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.layer(image),)


class Attention(nn.Module):
    """8 tokens of 3 x 64 numbers, each attending to all."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = image.reshape(1, 3, 8, 64)
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


def spec_of(outputs: tuple[int, ...]) -> ModelSpec:
    return ModelSpec(
        model="hand",
        task="pose-topdown",
        inputs=(image_input((WIDTH, HEIGHT)),),
        outputs=(TensorSpec(name="out", shape=(-1, *outputs)),),
        image=ImageSpec(wh=(WIDTH, HEIGHT)),
        crop=CropSpec(kind="affine"),
        codec=HeatmapCodec(refine="none"),
        keypoints=KeypointsSpec(name="one", names=("nose",), sigmas=(0.1,)),
    )


@pytest.mark.parametrize(
    ("layer", "macs", "parameters", "outputs"),
    [
        # 8 x 4 places, each of 8 channels a sum of 3 * 5 * 5 products
        (nn.Conv2d(3, 8, 5, 4, 2), 16 * 32 // 16 * 8 * 75, 8 * 75 + 8, 8 * 4 * 8),
        # each channel for itself
        (nn.Conv2d(3, 3, 3, 1, 1, groups=3), 512 * 3 * 9, 3 * 9 + 3, 3 * 512),
        # each of 512 inputs goes to 2 x 2 places of 5 channels
        (nn.ConvTranspose2d(3, 5, 2, 2, bias=False), 512 * 3 * 4 * 5, 3 * 4 * 5, 5 * 2048),
        # the last axis: 3 x 16 rows
        (nn.Linear(32, 7), 48 * 32 * 7, 32 * 7 + 7, 48 * 7),
        # scores: 8 x 8 x 64 products of each head, and as many for the weighted sum of values
        (Attention(), 3 * 2 * 8 * 8 * 64, 0, 3 * 8 * 64),
        (nn.ReLU(), 0, 0, 3 * 512),
    ],
    ids=["conv", "depthwise", "transposed", "linear", "attention", "relu"],
)
def test_layers_counted_by_hand(layer: nn.Module, macs: int, parameters: int, outputs: int) -> None:
    module = Hand(layer).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    cost = network_cost(module, spec_of((1, 1)))

    assert (cost.macs, cost.parameters) == (macs, parameters)
    assert cost.io_bytes == 3 * WIDTH * HEIGHT + 4 * outputs
    after = module.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


# GFLOPs, in which these papers count a multiply-accumulate as one
PUBLISHED = {
    "rtmpose-t": 0.36,  # RTMPose, table 4
    "rtmpose-s": 0.68,
    "rtmpose-m": 1.93,
    "rtmpose-l": 4.16,
    "rtmdet-nano": 0.31,  # table 12, at 320 x 320
    "fastpose-res50": 5.91,  # table 4
}


@pytest.mark.parametrize(("name", "gflops"), PUBLISHED.items(), ids=PUBLISHED)
def test_convolutional_networks_are_within_2_percent_of_their_papers(
    name: str, gflops: float
) -> None:
    # the papers' counters add batch norms, activations and pooling, which ours leaves out
    assert _cost_of(name) / 1e9 == pytest.approx(gflops, rel=0.02)


@pytest.mark.parametrize(
    ("name", "gflops", "width", "layers"),
    # ViTPose++, table 12: 5.3 and 17.1 at 256 x 192
    [("vitpose-s", 5.3, 384, 12), ("vitpose-b", 17.1, 768, 12)],
    ids=["s", "b"],
)
def test_transformers_are_within_5_percent_of_their_paper(
    name: str, gflops: float, width: int, layers: int
) -> None:
    # the paper's counter does not see the two products of attention, tokens x tokens x width each
    unseen = layers * 2 * 192 * 192 * width
    assert (_cost_of(name) - unseen) / 1e9 == pytest.approx(gflops, rel=0.05)


def _cost_of(name: str) -> int:
    variant = variant_of(CATALOG[name])
    family = load_family(variant.family)
    with torch.device("meta"):
        network = family.build(variant).eval()
    return network_cost(network, family.spec(variant, name)).macs


def test_folding_batch_norms_changes_no_count() -> None:
    variant = variant_of(CATALOG["rtmpose-t"])
    family = load_family("rtmpose")
    network = family.build(variant).eval()
    spec = family.spec(variant, "rtmpose-t")
    assert network_cost(fold_batchnorm(network), spec).macs == network_cost(network, spec).macs
