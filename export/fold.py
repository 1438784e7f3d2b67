"""Batch norm folded into the convolution before it, before any converter sees the network."""

import copy
from typing import TypeVar

import torch
from torch import nn

from export.models.layers import ConvBN

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def shared_copy(module: AnyModule) -> AnyModule:
    """Return a copy of `module` whose layers can be replaced, while every tensor stays the original's own."""
    tensors = (*module.parameters(), *module.buffers())
    return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})


def fold_batchnorm(module: nn.Module) -> nn.Module:
    """Return a copy of `module` (eval) whose ConvBN blocks are one convolution with a bias; `module` stays as it is.

    Equal to the original up to float32 rounding: the factors are computed in float64. Level by level, so that heads
    whose levels differ only in their batch norms come out right. What is not folded stays shared.
    """
    folded = shared_copy(module).eval()
    for block in folded.modules():
        if isinstance(block, ConvBN) and isinstance(block.bn, nn.BatchNorm2d):
            block.conv = _merged(block.conv, block.bn)
            block.bn = nn.Identity()
    return folded


def _merged(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    merged = nn.utils.skip_init(
        nn.Conv2d,
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        conv.stride,
        conv.padding,
        groups=conv.groups,
        dtype=conv.weight.dtype,
    )
    with torch.no_grad():
        gain = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        merged.weight.copy_(conv.weight.double() * gain.view(-1, 1, 1, 1))
        merged.bias.copy_(norm.bias.double() - norm.running_mean.double() * gain)
    return merged.eval()
