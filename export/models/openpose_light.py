"""Lightweight OpenPose (arXiv:1811.12004): MobileNet features, an initial stage and one that refines it.

Checked against its authors' implementation; state dict keys are its keys.
"""

import re

import torch
from torch import nn

from export.models.layers import HiddenConv
from export.models.openpose_layers import State

FIELDS, HEATMAPS = 38, 19
WIDTH = 128
# Output channels, stride and dilation of MobileNet v1's separable blocks, dilated where it would halve the map again.
BLOCKS = (
    (64, 1, 1), (128, 2, 1), (128, 1, 1), (256, 2, 1), (256, 1, 1), (512, 1, 1),
    (512, 1, 2), (512, 1, 1), (512, 1, 1), (512, 1, 1), (512, 1, 1),
)  # fmt: skip
MARKS = frozenset(
    {
        "cpm.align.0.weight",
        "initial_stage.pafs.1.0.weight",
        "refinement_stages.0.heatmaps.1.0.weight",
    }
)
# The published weights have three refinement stages, of which their authors run the first.
LEFTOVER = re.compile(r"refinement_stages\.[1-9]\d*\.")


class PoseMobileNet(nn.Module):
    """A normalised BGR frame, float32 (B, 3, H, W), to heatmaps (B, 19, h, w) and fields (B, 38, h, w), stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.model = _mobilenet()
        self.cpm = Adapter(BLOCKS[-1][0])
        self.initial_stage = InitialStage()
        self.refinement_stages = nn.ModuleList([RefinementStage()])

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the refined heatmaps and fields."""
        features = self.cpm(self.model(image))
        heatmaps, fields = self.initial_stage(features)
        return self.refinement_stages[0](torch.cat([features, heatmaps, fields], dim=1))


class Adapter(nn.Module):
    """Backbone channels to WIDTH, through separable convolutions with ELU and a skip around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.align = _plain(channels, WIDTH, 1)
        self.trunk = nn.Sequential(*(_separable_elu() for _ in range(3)))
        self.conv = _plain(WIDTH, WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, WIDTH, h, w)."""
        x = self.align(x)
        return self.conv(x + self.trunk(x))


class InitialStage(nn.Module):
    """The first guess at both kinds of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(_plain(WIDTH, WIDTH, 3) for _ in range(3)))
        self.heatmaps = _head(512, HEATMAPS)
        self.pafs = _head(512, FIELDS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return heatmaps and fields."""
        x = self.trunk(x)
        return self.heatmaps(x), self.pafs(x)


class RefinementStage(nn.Module):
    """A better guess, from the features and the first one."""

    def __init__(self) -> None:
        super().__init__()
        first = WIDTH + HEATMAPS + FIELDS
        self.trunk = nn.Sequential(*(RefinementBlock(c) for c in (first, *(WIDTH,) * 4)))
        self.heatmaps = _head(WIDTH, HEATMAPS)
        self.pafs = _head(WIDTH, FIELDS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return heatmaps and fields."""
        x = self.trunk(x)
        return self.heatmaps(x), self.pafs(x)


class RefinementBlock(nn.Module):
    """A 1x1 convolution, and around two 3x3 ones, the second dilated, a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.initial = _plain(channels, WIDTH, 1)
        self.trunk = nn.Sequential(_normed(WIDTH, 1), _normed(WIDTH, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, WIDTH, h, w)."""
        x = self.initial(x)
        return x + self.trunk(x)


def _mobilenet() -> nn.Sequential:
    channels = 32
    stem = nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )
    layers = [stem]
    for width, stride, dilation in BLOCKS:
        layers.append(_separable(channels, width, stride, dilation))
        channels = width
    return nn.Sequential(*layers)


def _separable(channels: int, width: int, stride: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _separable_elu() -> nn.Sequential:
    return nn.Sequential(
        HiddenConv(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False),
        nn.ELU(),
        HiddenConv(WIDTH, WIDTH, 1, bias=False),
        nn.ELU(),
    )


def _plain(channels: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(HiddenConv(channels, width, kernel, padding=kernel // 2), nn.ReLU())


def _normed(channels: int, dilation: int) -> nn.Sequential:
    """Return a 3x3 convolution that has both a bias and a norm."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def _head(hidden: int, channels: int) -> nn.Sequential:
    return nn.Sequential(_plain(WIDTH, hidden, 1), nn.Sequential(nn.Conv2d(hidden, channels, 1)))


def without_unused_stages(state: State, module: nn.Module) -> State:
    """Return the tensors of the stages that run: a file as trained holds two more, which its authors leave out."""
    return {key: value for key, value in state.items() if not LEFTOVER.match(key)}
