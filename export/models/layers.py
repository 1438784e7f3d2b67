"""Convolution blocks that several families share.

Attribute names are those of mmcv's modules, the keys of official state dicts.
"""

import torch
from torch import nn


class ConvBN(nn.Module):
    """Convolution, batch norm, SiLU: float32 (B, Cin, H, W) -> (B, Cout, H / stride, W / stride)."""

    def __init__(
        self, cin: int, cout: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            cin, cout, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        # The configs of RTMPose and RTMDet name SyncBN, so eps is torch's default and not CSPNeXt's 1e-3.
        self.bn = nn.BatchNorm2d(cout)
        self.act = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block; once folded, `bn` is an identity."""
        return self.act(self.bn(self.conv(x)))


class HiddenConv(nn.Conv2d):
    """A convolution followed by an activation and no norm: random weights need He's gain to keep the signal."""


class SeparableConvBN(nn.Module):
    """A depthwise and a pointwise ConvBN, each with its own activation."""

    def __init__(self, cin: int, cout: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.depthwise_conv = ConvBN(cin, cin, kernel, stride=stride, groups=cin)
        self.pointwise_conv = ConvBN(cin, cout, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run both convolutions."""
        return self.pointwise_conv(self.depthwise_conv(x))


def conv3x3(cin: int, cout: int, *, stride: int = 1, depthwise: bool = False) -> nn.Module:
    """Return a 3x3 block, separable in a depthwise network."""
    if depthwise:
        return SeparableConvBN(cin, cout, 3, stride=stride)
    return ConvBN(cin, cout, 3, stride=stride)
