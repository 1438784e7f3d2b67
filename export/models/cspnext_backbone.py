"""CSPNeXt, the backbone of RTMPose and RTMDet (arXiv:2212.07784), and its CSP layer, of which RTMDet's neck is built.

Written after the paper and checked against mmdet 3.3.0 and mmpose 1.3.2; state dict keys are theirs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from export.models.checks import block_indices
from export.models.layers import ConvBN, SeparableConvBN, conv3x3
from runtimes.errors import CheckpointError

STAGE_CHANNELS = 1024  # after the last stage of the full network; each stage before has half, the stem a sixteenth
STAGE_BLOCKS = (3, 6, 6, 3)
POOLS = (5, 9, 13)
STEM = "backbone.stem.2.conv.weight"
LAST = "backbone.stage4.2.final_conv.conv.weight"
DEPTHWISE = "backbone.stage1.0.depthwise_conv.conv.weight"
SPELLED = re.compile(r"(\d{2,4})x(\d{1,2})x(\d{1,2})x(\d{1,2})x(\d{1,2})(-dw)?")


@dataclass(frozen=True, slots=True)
class CSPNeXtSize:
    """Channels after the last stage, blocks of the four stages, and whether 3x3 convolutions are depthwise."""

    channels: int
    blocks: tuple[int, ...]
    depthwise: bool = False

    @property
    def stem(self) -> int:
        """Channels after the stem."""
        return self.channels // 16

    @property
    def stages(self) -> tuple[int, ...]:
        """Channels after each stage."""
        return tuple(self.channels // part for part in (8, 4, 2, 1))


def scaled(deepen: float, widen: float, *, depthwise: bool = False) -> CSPNeXtSize:
    """Return the full network shrunk or grown by mmdet's `deepen_factor` and `widen_factor`."""
    blocks = tuple(max(round(blocks * deepen), 1) for blocks in STAGE_BLOCKS)
    return CSPNeXtSize(int(STAGE_CHANNELS * widen), blocks, depthwise)


# The sizes that mmpose publishes.
PUBLISHED = {
    "t": scaled(0.167, 0.375),
    "s": scaled(0.33, 0.5),
    "m": scaled(0.67, 0.75),
    "l": scaled(1.0, 1.0),
    "x": scaled(1.33, 1.25),
}


def read_size(state: Mapping[str, torch.Tensor]) -> CSPNeXtSize | None:
    """Return the size of the backbone in a state dict, or None where there is none of one width factor.

    mmdet's channels, `int(c * widen)` for c = 64 to 1024, are those of the last stage halved and rounded down.
    """
    if any(key not in state or state[key].ndim != 4 for key in (STEM, LAST)):
        return None
    prefixes = [f"backbone.stage{n}.{2 if n == 4 else 1}.blocks." for n in (1, 2, 3, 4)]
    blocks = tuple(len(block_indices(state, prefix)) for prefix in prefixes)
    size = CSPNeXtSize(state[LAST].shape[0], blocks, DEPTHWISE in state)
    return size if min(blocks) and size.stem == state[STEM].shape[0] else None


def spell_size(size: CSPNeXtSize) -> str:
    """Return a size in full: channels x blocks of each stage, then `-dw` where it is depthwise."""
    return "x".join(map(str, (size.channels, *size.blocks))) + "-dw" * size.depthwise


def parse_size(text: str) -> CSPNeXtSize | None:
    """Return the size of a text made by `spell_size`; None for any other text."""
    found = SPELLED.fullmatch(text)
    if found is None:
        return None
    channels, *blocks = map(int, found.groups()[:5])
    size = CSPNeXtSize(channels, tuple(blocks), found[6] is not None)
    return size if min(blocks) and size.stem > 1 else None


def size_name(size: CSPNeXtSize) -> str:
    """Return the published name of a size, or spell it out."""
    return next((name for name, known in PUBLISHED.items() if known == size), spell_size(size))


def size_of(family: str, name: str) -> CSPNeXtSize:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    size = PUBLISHED.get(name) or parse_size(name)
    if size is None:
        raise CheckpointError(
            f"{family} has no size {name!r}; give one of {', '.join(PUBLISHED)}, or channels of the last stage x "
            "blocks of the four stages as 614x1x2x2x1"
        )
    return size


class Block(nn.Module):
    """3x3 then separable 5x5, with a skip connection where `residual`."""

    def __init__(self, channels: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels, depthwise=depthwise)
        self.conv2 = SeparableConvBN(channels, channels, 5)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the block; the shape is kept."""
        out = self.conv2(self.conv1(x))
        return out + x if self.residual else out


class ChannelAttention(nn.Module):
    """Channel attention: each channel scaled by a gate computed from the means over the image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Conv2d(channels, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate the channels; the shape is kept."""
        return x * self.gate(self.fc(self.pool(x)))


class CSPLayer(nn.Module):
    """A CSP layer: half the channels go through the blocks, half bypass them; the backbone gates both together."""

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
    """Spatial pyramid pooling: the map and its maxima over three window sizes, mixed by a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = ConvBN(channels, half, 1)
        self.pools = nn.ModuleList(nn.MaxPool2d(size, 1, size // 2) for size in POOLS)
        self.conv2 = ConvBN(half * (len(POOLS) + 1), channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the layer; the shape is kept."""
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.pools)], dim=1))


class CSPNeXt(nn.Module):
    """Image, float32 (B, 3, H, W), to features at strides 8, 16 and 32."""

    def __init__(self, size: CSPNeXtSize) -> None:
        super().__init__()
        half, stem = size.stem // 2, size.stem
        self.stem = nn.Sequential(
            ConvBN(3, half, 3, stride=2), ConvBN(half, half, 3), ConvBN(half, stem, 3)
        )
        widths = (stem, *size.stages)
        for index, blocks in enumerate(size.blocks):
            last = index == len(size.blocks) - 1
            cin, cout = widths[index], widths[index + 1]
            layers = [conv3x3(cin, cout, stride=2, depthwise=size.depthwise)]
            if last:
                layers.append(SPP(cout))
            layers.append(
                CSPLayer(
                    cout,
                    cout,
                    blocks,
                    backbone=True,
                    residual=not last,
                    depthwise=size.depthwise,
                )
            )
            self.add_module(f"stage{index + 1}", nn.Sequential(*layers))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the outputs of stages 2, 3 and 4."""
        stride8 = self.stage2(self.stage1(self.stem(image)))
        stride16 = self.stage3(stride8)
        return stride8, stride16, self.stage4(stride16)
