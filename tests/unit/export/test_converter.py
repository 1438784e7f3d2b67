"""The size from which fp16 stores a tensor in half: tensors that stay in float32, and their share of a network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from edge.catalog.lookup import CATALOG
from edge.catalog.specs_fastpose import fastpose_spec
from export.converter import ConversionSource, min_half_elements
from export.registry import load_family, variant_of

SPEC = fastpose_spec("any", (192, 256), "coco17")  # the rule does not read it
NETWORKS = (
    "rtmdet-nano",
    "rtmdet-tiny",
    "rtmpose-m",
    "vitpose-s",
    "vitpose-l",
    "sapiens-0.6b",
    "fastpose-res50",
    "fastpose-res152",
    "openpose-coco18",
    "openpose-body25",
    "openpose-light",
)


def source(name: str) -> ConversionSource:
    variant = variant_of(CATALOG[name])
    with torch.device("meta"):
        return ConversionSource(load_family(variant.family).build(variant), SPEC, Path())


@pytest.mark.parametrize(
    ("weights", "least"),
    [(1, 4096), (4_096_000, 4096), (4_097_000, 4097), (2_166_000_000, 2_166_000)],
)
def test_a_thousandth_of_the_weights_and_at_least_4096(weights: int, least: int) -> None:
    network = nn.Linear(weights, 1, bias=False, device="meta")
    assert min_half_elements(ConversionSource(network, SPEC, Path())) == least


def test_weights_that_layers_share_count_once() -> None:
    network = nn.Sequential(*[nn.Linear(5_000_000, 1, bias=False, device="meta")] * 2)
    assert min_half_elements(ConversionSource(network, SPEC, Path())) == 5000


def test_of_fastposes_convolutions_the_early_ones_stay_whole() -> None:
    made = source("fastpose-res50")
    least = min_half_elements(made)
    convolutions = {n: w.numel() for n, w in made.module.named_parameters() if w.ndim == 4}
    whole = {name for name, count in convolutions.items() if count < least}
    early = {name for name in convolutions if name.startswith(("preact.conv1", "preact.layer1"))}
    assert whole == early | {"preact.layer2.0.conv1.weight", "conv_out.weight"}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stays_whole_is_a_small_part_of_any_network(name: str) -> None:
    made = source(name)
    counts = [weight.numel() for weight in made.module.parameters()]
    whole = sum(count for count in counts if count < min_half_elements(made))
    share = 0.08 if name == "rtmdet-nano" else 0.025  # the nano has a million weights in all
    assert whole <= share * sum(counts)
