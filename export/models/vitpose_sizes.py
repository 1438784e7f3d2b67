"""ViTPose's sizes: how wide and deep, which decoder, and whether a knowledge token stands beside the patches.

A size is a published name (`s`, `b`, `l`, `h`), or says it all: `192x6x3` is 192 channels, 6 blocks, 3 heads. Then
comes the decoder where it is not the classic one, then `-token` (ViTPose++, arXiv:2212.04246, section 3.4).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import interpolate

from export.models.vit import Width
from runtimes.errors import CheckpointError

# Twelve heads for the smallest as well: 32 channels each, not the usual 64. No tensor shows it.
WIDTHS = {
    "s": Width(384, 12, 12),
    "b": Width(768, 12, 12),
    "l": Width(1024, 24, 16),
    "h": Width(1280, 32, 16),
    "s-d3": Width(384, 3, 12),
}
CHANNELS = 256
UPSCALE = 4
KNOWLEDGE_SUFFIX = "-token"
FREE_SIZE = re.compile(r"(\d{2,4})x(\d{1,2})x(\d{1,2})")


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
    """ReLU, four times as fine by bilinear interpolation, and one convolution."""

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
# Every size by its name: width, then decoder.
SIZES = {
    f"{width}{decoder}": (WIDTHS[width], DECODERS[decoder])
    for decoder in DECODERS
    for width in WIDTHS
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a size means: the transformer's width, its decoder (channels, keypoints -> module), and its tokens."""

    width: Width
    decoder: Callable[[int, int], nn.Module]
    tokens: int


def plan_of(size: str) -> Plan:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    bare = size.removesuffix(KNOWLEDGE_SUFFIX)
    tokens = int(bare != size)
    if bare in SIZES:
        return Plan(*SIZES[bare], tokens)
    for suffix, decoder in reversed(DECODERS.items()):
        found = FREE_SIZE.fullmatch(bare.removesuffix(suffix))
        if bare.endswith(suffix) and found:
            dim, depth, heads = map(int, found.groups())
            if heads and dim % heads == 0 and depth:
                return Plan(Width(dim, depth, heads), decoder, tokens)
    raise CheckpointError(
        f"vitpose has no size {size!r}; give one of {', '.join(SIZES)}, or channels x blocks x heads as 192x6x3 "
        "(channels a multiple of heads), then -simple or -minimal for those decoders"
    )
