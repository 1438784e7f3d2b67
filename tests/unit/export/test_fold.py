"""Batch norm folding: exact but for rounding."""

import pytest
import torch
from torch import nn

from export.fold import fold_batchnorm
from export.models.layers import ConvBN
from export.random_weights import random_model


def test_one_block_equals_its_folded_form() -> None:
    torch.manual_seed(0)
    block = ConvBN(6, 8, 3, stride=2, groups=2).eval()
    block.bn.running_mean.normal_()
    block.bn.running_var.uniform_(0.01, 4.0)
    nn.init.normal_(block.bn.weight)
    nn.init.normal_(block.bn.bias)
    image = torch.randn(2, 6, 16, 12)
    with torch.no_grad():
        torch.testing.assert_close(fold_batchnorm(block)(image), block(image), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["rtmpose-t", "rtmdet-nano", "rtmdet-tiny"])
def test_a_network_folds_exactly_in_double(name: str) -> None:
    loaded = random_model(name)
    network = loaded.module.double()
    image = torch.randn(1, 3, 256, 192, dtype=torch.float64)
    with torch.no_grad():
        for got, wanted in zip(fold_batchnorm(network)(image), network(image), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


def test_folding_leaves_no_norm_behind_and_the_original_alone() -> None:
    network = random_model("rtmdet-nano").module
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = fold_batchnorm(network)
    after = network.state_dict()

    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_each_level_is_folded_with_its_own_norm() -> None:
    head = random_model("rtmdet-tiny").module.bbox_head
    for level in (1, 2):  # the official sharing: one convolution, three norms
        head.cls_convs[level][0].conv.weight.copy_(head.cls_convs[0][0].conv.weight)
    weights = [tower[0].conv.weight for tower in fold_batchnorm(head).cls_convs]

    assert not torch.allclose(weights[0], weights[1])
    assert not torch.allclose(weights[1], weights[2])
