"""Sapiens' networks (arXiv:2408.12569): a plain vision transformer under a head for keypoints or for a dense map.

State dict keys are the authors' own. The heads' norms are instance norms, which have no parameters: a checkpoint shows
no trace of them, though its configs read like batch norm's.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from export.models.vit import Vit


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """Deconvolutions of a head (each doubles the grid), the 1x1 convolutions after them, and the channels of both."""

    deconvs: int
    convs: int
    channels: int


class Upsampling(nn.Module):
    """Features (B, C, h, w) to (B, channels, h * 2^deconvs, w * 2^deconvs)."""

    def __init__(self, cin: int, plan: HeadPlan) -> None:
        super().__init__()
        widths = [cin, *[plan.channels] * plan.deconvs]
        self.deconv_layers = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (
                    nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False),
                    nn.InstanceNorm2d(after),
                    nn.SiLU(),
                )
            )
        )
        self.conv_layers = nn.Sequential(
            *(
                layer
                for _ in range(plan.convs)
                for layer in (
                    nn.Conv2d(plan.channels, plan.channels, 1),
                    nn.InstanceNorm2d(plan.channels),
                    nn.SiLU(),
                )
            )
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Run both stacks."""
        return self.conv_layers(self.deconv_layers(features))


class PoseHead(Upsampling):
    """Features to one heatmap a keypoint."""

    def __init__(self, cin: int, plan: HeadPlan, keypoints: int) -> None:
        super().__init__(cin, plan)
        self.final_layer = nn.Conv2d(plan.channels, keypoints, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, h, w)."""
        return self.final_layer(super().forward(features))


class DenseHead(Upsampling):
    """Features to one map a channel."""

    def __init__(self, cin: int, plan: HeadPlan, channels: int) -> None:
        super().__init__(cin, plan)
        self.conv_seg = nn.Conv2d(plan.channels, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, C, h, w)."""
        return self.conv_seg(super().forward(features))


class SapiensPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W), to (heatmap,)."""

    def __init__(self, backbone: Vit, head: PoseHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return heatmaps (B, K, H / 4, W / 4)."""
        return (self.head(self.backbone(image)),)


class SapiensDense(nn.Module):
    """A normalised RGB frame, float32 (B, 3, H, W), to one map."""

    def __init__(self, backbone: Vit, decode_head: DenseHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return class logits, depth or normals (B, C, h, w)."""
        return (self.decode_head(self.backbone(image)),)
