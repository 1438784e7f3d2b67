"""Guides: coarse heatmaps asked of a backbone's inner maps while it is trained, and thrown away afterwards.

A network that learns coordinates from nothing says the same mean pose for a long time: its loss tells where a keypoint
is, not where to look. Supervision inside (arXiv:1409.5185) tells that: a 1x1 convolution on each of the backbone's maps
gives heatmaps at its stride. Their weight fades to 0, so that at the end the network's own outputs alone count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.types import F64
from quantize.distill.backbone_head import channels_of_maps, read
from quantize.distill.data.batches import Batch
from quantize.distill.data.targets import heatmap_sigma, heatmaps
from quantize.distill.losses.terms import Outputs, Part, TaughtMaps
from runtimes.spec import ModelSpec

# Families whose backbones give several maps, finest first; a plain transformer has one only, and its decoder sees that.
GUIDED = ("rtmpose",)
MARK = "guides."
# No Gaussian is narrower than this many bins: between two bins it would be lost.
NARROWEST = 0.8
INITIAL_STD = 0.001


class Guided(nn.Module):
    """A student that also shows inner heatmaps: its own outputs, then a map a stride. Its tensors keep their names."""

    def __init__(self, student: Any, channels: tuple[int, ...], keypoints: int) -> None:
        super().__init__()
        self.backbone = student.backbone
        self.head = student.head
        self.guides = nn.ModuleList(nn.Conv2d(count, keypoints, 1) for count in channels)
        for guide in self.guides:
            nn.init.normal_(guide.weight, std=INITIAL_STD)
            nn.init.zeros_(guide.bias)

    def forward(self, image: torch.Tensor) -> Outputs:
        """Return (*outputs, heatmaps (B, K, H / 8, W / 8), ...)."""
        maps = self.backbone(image)
        inner = (guide(each) for guide, each in zip(self.guides, maps, strict=True))
        return (*read(self.head, maps[-1]), *inner)


@dataclass(frozen=True, slots=True)
class GuideTruth:
    """Inner heatmaps of the labelled keypoints; the squared error added up over bins, mean over keypoints.

    own: how many outputs come before the inner maps.
    """

    spec: ModelSpec
    own: int

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (*outputs, *inner maps)."""
        total = outputs[0].new_zeros(())
        xy = batch.xy.numpy().reshape(-1, 2)
        for found in outputs[self.own :]:
            stride = _stride(found, self.spec)
            sigma = np.maximum(heatmap_sigma(self.spec.image.wh) / stride, NARROWEST)
            wanted = heatmaps(xy / stride, (found.shape[3], found.shape[2]), sigma)
            error = (found - torch.from_numpy(wanted).to(found).reshape(found.shape)).square()
            total = total + (error.sum(dim=(2, 3)) * batch.weights.to(found)).mean()
        return total


@dataclass(frozen=True, slots=True)
class GuideTaught:
    """Inner heatmaps like the teacher's, of every keypoint, where the teacher saw something."""

    spec: ModelSpec
    own: int
    taught: TaughtMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (*outputs, *inner maps)."""
        total = outputs[0].new_zeros(())
        for found in outputs[self.own :]:
            stride = _stride(found, self.spec)
            maps, weights = self.taught.of(batch, (found.shape[3], found.shape[2]), stride)
            error = (found - maps.to(found)).square() * weights.to(found)
            total = total + error.sum(dim=(2, 3)).mean()
        return total


def guided(student: Any, keypoints: int, input_wh: tuple[int, int]) -> Guided:
    """Return the student with guides on its backbone's maps, for a family in GUIDED."""
    return Guided(student, channels_of_maps(student.backbone, input_wh), keypoints)


def guide_parts(
    spec: ModelSpec, weight: float, taught: TaughtMaps | None, *, labelled: bool
) -> dict[str, Part]:
    """Return the guides' parts: by labels, by a teacher's maps, or both; they fade to nothing."""
    own = len(spec.outputs)
    parts = {}
    if labelled:
        parts["guide"] = Part(GuideTruth(spec, own), weight, 0.0)
    if taught is not None:
        parts["guide taught"] = Part(GuideTaught(spec, own, taught), weight, 0.0)
    return parts


def unguided(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the bare student's state of a `Guided`'s."""
    return {name: value for name, value in state.items() if not name.startswith(MARK)}


def _stride(found: torch.Tensor, spec: ModelSpec) -> F64:
    """Return how many input pixels a bin of the map spans, (x, y)."""
    return np.array(spec.image.wh, np.float64) / (found.shape[3], found.shape[2])
