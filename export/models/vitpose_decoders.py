"""ViTPose's decoders from features (B, C, h, w) to heatmaps (B, K, 4 h, 4 w): classic, simple and minimal.

`minimal` is the simple one with a 1x1 convolution.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import interpolate

CHANNELS = 256
UPSCALE = 4


class ClassicDecoder(nn.Module):
    """Two deconvolutions, each doubling the grid, then one channel a keypoint."""

    def __init__(self, cin: int, keypoints: int) -> None:
        super().__init__()
        self.deconv_layers = nn.Sequential(
            nn.ConvTranspose2d(cin, CHANNELS, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        )
        self.final_layer = nn.Conv2d(CHANNELS, keypoints, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, 4 h, 4 w)."""
        return self.final_layer(self.deconv_layers(features))


class SimpleDecoder(nn.Module):
    """ReLU, bilinear interpolation to four times the grid, and one convolution."""

    def __init__(self, cin: int, keypoints: int, kernel: int) -> None:
        super().__init__()
        self.final_layer = nn.Conv2d(cin, keypoints, kernel, padding=kernel // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, 4 h, 4 w)."""
        fine = interpolate(
            features.relu(), scale_factor=UPSCALE, mode="bilinear", align_corners=False
        )
        return self.final_layer(fine)


def _simple(cin: int, keypoints: int) -> nn.Module:
    return SimpleDecoder(cin, keypoints, 3)


def _minimal(cin: int, keypoints: int) -> nn.Module:
    return SimpleDecoder(cin, keypoints, 1)


DECODERS: dict[str, Callable[[int, int], nn.Module]] = {
    "": ClassicDecoder,
    "-simple": _simple,
    "-minimal": _minimal,
}
