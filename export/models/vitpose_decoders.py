"""ViTPose's decoders from features (B, C, h, w) to heatmaps (B, K, up * h, up * w).

`minimal` is the simple decoder with a 1x1 convolution, as the authors' configs can build it. `pixelshuffle` is what
the paper calls minimal (arXiv:2212.04246, eq. 4): a 1x1 convolution to up^2 * K channels, rearranged. `ae` is the
bottom-up one (eq. 5), in the layout of mmpose 1.x's AssociativeEmbeddingHead: the classic one with a heatmap and a tag
map a keypoint.
"""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import interpolate, pixel_shuffle

CHANNELS = 256
UPSCALE = 4
BOTTOM_UP = "-ae"


class ClassicDecoder(nn.Module):
    """Deconvolutions, each doubling the grid (two, or one for features of stride 8), then one channel a keypoint."""

    def __init__(self, cin: int, keypoints: int, upscale: int = UPSCALE) -> None:
        super().__init__()
        widths = [cin, *[CHANNELS] * (upscale.bit_length() - 1)]
        self.deconv_layers = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (
                    nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                )
            )
        )
        self.final_layer = nn.Conv2d(CHANNELS, keypoints, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, up * h, up * w)."""
        return self.final_layer(self.deconv_layers(features))


class SimpleDecoder(nn.Module):
    """ReLU, bilinear interpolation, and one convolution."""

    def __init__(self, cin: int, keypoints: int, kernel: int, upscale: int = UPSCALE) -> None:
        super().__init__()
        self.upscale = upscale
        self.final_layer = nn.Conv2d(cin, keypoints, kernel, padding=kernel // 2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, up * h, up * w)."""
        fine = interpolate(
            features.relu(), scale_factor=self.upscale, mode="bilinear", align_corners=False
        )
        return self.final_layer(fine)


class PixelShuffleDecoder(nn.Module):
    """One 1x1 convolution, whose channels k * up^2 + up * row + column become the bins of heatmap k (eq. 4)."""

    def __init__(self, cin: int, keypoints: int, upscale: int = UPSCALE) -> None:
        super().__init__()
        self.upscale = upscale
        self.final_layer = nn.Conv2d(cin, keypoints * upscale**2, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, up * h, up * w)."""
        return pixel_shuffle(self.final_layer(features), self.upscale)


class AssociativeEmbeddingDecoder(ClassicDecoder):
    """The classic decoder to 2 K channels: heatmaps of all people, then tag maps (eq. 5)."""

    def __init__(self, cin: int, keypoints: int, upscale: int = UPSCALE) -> None:
        super().__init__(cin, 2 * keypoints, upscale)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return heatmaps and tags, (B, K, up * h, up * w) each."""
        heatmaps, tags = super().forward(features).chunk(2, dim=1)
        return heatmaps, tags


def _simple(cin: int, keypoints: int, upscale: int) -> nn.Module:
    return SimpleDecoder(cin, keypoints, 3, upscale)


def _minimal(cin: int, keypoints: int, upscale: int) -> nn.Module:
    return SimpleDecoder(cin, keypoints, 1, upscale)


# Kinds of decoder: (channels, keypoints, upscale) -> module.
DECODERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "": ClassicDecoder,
    "-simple": _simple,
    "-minimal": _minimal,
    "-pixelshuffle": PixelShuffleDecoder,
    BOTTOM_UP: AssociativeEmbeddingDecoder,
}
