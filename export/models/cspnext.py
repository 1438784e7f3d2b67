"""CSPNeXt, the backbone of RTMPose and RTMDet (arXiv:2212.07784), and the CSP layer that RTMDet's neck is made of.

Written after the paper and checked against mmdet 3.3.0 and mmpose 1.3.2; state dict keys are theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from export.models.layers import ConvBN, SeparableConvBN, conv3x3

STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
STAGE_BLOCKS = (3, 6, 6, 3)
POOLS = (5, 9, 13)


@dataclass(frozen=True, slots=True)
class Scale:
    """How a size shrinks the full network: factors on depth and width, and whether 3x3 convolutions are depthwise."""

    deepen: float
    widen: float
    depthwise: bool = False

    @property
    def stem(self) -> int:
        """Channels after the stem."""
        return int(STEM_CHANNELS * self.widen)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels after each stage."""
        return tuple(int(channels * self.widen) for channels in STAGE_CHANNELS)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        return tuple(max(round(blocks * self.deepen), 1) for blocks in STAGE_BLOCKS)


def recognise_size(
    state: Mapping[str, torch.Tensor], scales: Mapping[str, Scale], marks: tuple[str, ...]
) -> str | None:
    """Return the size whose stem is as wide as `state`'s, or None where a key of `marks` is missing or no size fits."""
    stem = "backbone.stem.2.conv.weight"
    if any(key not in state or state[key].ndim < 2 for key in (stem, *marks)):
        return None
    width = state[stem].shape[0]
    return next((size for size, scale in scales.items() if scale.stem == width), None)


class Block(nn.Module):
    """3x3 then separable 5x5, with a skip connection where `residual`."""

    def __init__(self, channels: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, depthwise=depthwise)
        self.conv2 = SeparableConvBN(channels, channels, 5)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block; the shape stays."""
        out = self.conv2(self.conv1(x))
        return out + x if self.residual else out


class ChannelAttention(nn.Module):
    """Scale each channel by a gate computed from its mean over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate the channels; the shape stays."""
        return x * self.gate(self.fc(self.pool(x)))


class CSPLayer(nn.Module):
    """Half the channels go through the blocks, half past them; both are gated together in the backbone."""

    def __init__(
        self, cin: int, cout: int, blocks: int, *, backbone: bool, residual: bool, depthwise: bool
    ) -> None:
        super().__init__()
        half = cout // 2
        self.main_conv = ConvBN(cin, half, 1)
        self.short_conv = ConvBN(cin, half, 1)
        self.final_conv = ConvBN(2 * half, cout, 1)
        self.blocks = nn.Sequential(
            *(Block(half, residual=residual, depthwise=depthwise) for _ in range(blocks))
        )
        if backbone:
            self.attention = ChannelAttention(2 * half)
        self.backbone = backbone

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, cout, H, W)."""
        both = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        return self.final_conv(self.attention(both) if self.backbone else both)


class SPP(nn.Module):
    """The map beside its maxima over three window sizes, mixed by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvBN(channels, half, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in POOLS)
        self.conv2 = ConvBN(half * (len(POOLS) + 1), channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layer; the shape stays."""
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.pools)], dim=1))


class CSPNeXt(nn.Module):
    """Image, float32 (B, 3, H, W), to features at strides 8, 16 and 32."""

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        half, stem = scale.stem // 2, scale.stem
        self.stem = nn.Sequential(
            ConvBN(3, half, 3, stride=2), ConvBN(half, half, 3), ConvBN(half, stem, 3)
        )
        widths = (stem, *scale.channels)
        for index, blocks in enumerate(scale.blocks):
            last = index == len(scale.blocks) - 1
            cin, cout = widths[index], widths[index + 1]
            layers = [conv3x3(cin, cout, stride=2, depthwise=scale.depthwise)]
            if last:
                layers.append(SPP(cout))
            layers.append(
                CSPLayer(
                    cout,
                    cout,
                    blocks,
                    backbone=True,
                    residual=not last,
                    depthwise=scale.depthwise,
                )
            )
            self.add_module(f"stage{index + 1}", nn.Sequential(*layers))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the outputs of stages 2, 3 and 4."""
        stride8 = self.stage2(self.stage1(self.stem(image)))
        stride16 = self.stage3(stride8)
        return stride8, stride16, self.stage4(stride16)
