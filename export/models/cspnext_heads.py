"""Heads of the CSPNeXt heatmap networks: mmpose's deconvolutions, and a light feature pyramid.

Both take the backbone's maps at strides 8, 16 and 32 and return heatmaps (B, K, H / 4, W / 4) of an H x W image.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import interpolate

from export.models.cspnext_backbone import CSPNeXtSize
from export.models.layers import ConvBN, SeparableConvBN

Maps = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
DECONV_CHANNELS = 256


class DeconvHead(nn.Module):
    """Three deconvolutions from the last map, each doubling the grid, and a 1x1 convolution: mmpose's HeatmapHead."""

    def __init__(self, size: CSPNeXtSize, keypoints: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        cin = size.channels
        for _ in range(3):
            layers.append(nn.ConvTranspose2d(cin, DECONV_CHANNELS, 4, 2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(DECONV_CHANNELS), nn.ReLU()]
            cin = DECONV_CHANNELS
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(cin, keypoints, 1)

    def forward(self, maps: Maps) -> torch.Tensor:
        """Return heatmaps (B, K, H / 4, W / 4)."""
        return self.final_layer(self.deconv_layers(maps[-1]))


class PyramidHead(nn.Module):
    """A top-down feature pyramid (arXiv:1612.03144) of separable 5x5 convolutions, and a 1x1 convolution.

    Its width is that of the map at stride 8. Grids are doubled by repetition, which every runtime converts.
    """

    def __init__(self, size: CSPNeXtSize, keypoints: int) -> None:
        super().__init__()
        width, inputs = size.stages[1], size.stages[1:]
        self.lateral_convs = nn.ModuleList(ConvBN(cin, width, 1) for cin in inputs)
        self.fpn_convs = nn.ModuleList(SeparableConvBN(width, width, 5) for _ in inputs)
        self.final_layer = nn.Conv2d(width, keypoints, 1)

    def forward(self, maps: Maps) -> torch.Tensor:
        """Return heatmaps (B, K, H / 4, W / 4)."""
        stride8, stride16, stride32 = (
            conv(each) for conv, each in zip(self.lateral_convs, maps, strict=True)
        )
        x = self.fpn_convs[2](_doubled(stride32) + stride16)
        x = self.fpn_convs[1](_doubled(x) + stride8)
        return self.final_layer(self.fpn_convs[0](_doubled(x)))


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return interpolate(x, scale_factor=2, mode="nearest")


# By the end of a size's name.
HEADS: dict[str, Callable[[CSPNeXtSize, int], nn.Module]] = {
    "": DeconvHead,
    "-fpn": PyramidHead,
}
