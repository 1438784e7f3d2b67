"""Deep supervision: coarse heatmaps from a backbone's inner maps, during training only.

A network that learns coordinates from scratch predicts the mean pose for a long time: its loss says where a keypoint
is, but not where to look. With deep supervision (arXiv:1409.5185) a 1x1 convolution on each of the backbone's maps
gives heatmaps at its stride. Their weight fades to 0, so at the end only the network's own outputs count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from edge.geometry import Size
from edge.types import F64
from quantize.distill.backbone_head import map_channels, run_head
from quantize.distill.data.batches import Batch
from quantize.distill.data.targets import heatmap_sigma, heatmaps
from quantize.distill.losses.ahead import TargetLoss
from quantize.distill.losses.terms import Outputs, TeacherMaps, WeightedLoss
from runtimes.spec import ModelSpec

# Families whose backbones give several maps, finest first. A plain transformer has one, and its decoder reads that.
SUPPORTED_FAMILIES = ("rtmpose",)
STRIDES = (8, 16, 32)  # of their maps
PREFIX = "guides."  # of the added tensors in a saved state
MIN_SIGMA = 0.8  # bins; a narrower Gaussian could fall between two bins
INITIAL_STD = 0.001


class DeeplySupervised(nn.Module):
    """A student with inner heatmaps: its own outputs, then a heatmap per stride. Its tensors keep their names."""

    def __init__(self, student: Any, channels: tuple[int, ...], keypoints: int, seed: int) -> None:
        super().__init__()
        self.backbone = student.backbone
        self.head = student.head
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.guides = nn.ModuleList(nn.Conv2d(count, keypoints, 1) for count in channels)
            for guide in self.guides:
                nn.init.normal_(guide.weight, std=INITIAL_STD)
                nn.init.zeros_(guide.bias)

    def forward(self, image: torch.Tensor) -> Outputs:
        """Return (*outputs, heatmaps (B, K, H / 8, W / 8), ...)."""
        maps = self.backbone(image)
        inner = (guide(each) for guide, each in zip(self.guides, maps, strict=True))
        return (*run_head(self.head, maps), *inner)


@dataclass(frozen=True, slots=True)
class DeepSupervisionLoss(TargetLoss[list[torch.Tensor]]):
    """Squared error of inner heatmaps against labels, summed over bins, averaged over keypoints.

    own: number of outputs before the inner heatmaps.
    """

    spec: ModelSpec
    own: int

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (*outputs, *inner heatmaps)."""
        total = outputs[0].new_zeros(())
        for predicted, maps in zip(outputs[self.own :], self.take_targets(batch), strict=True):
            error = (predicted - maps.to(predicted).reshape(predicted.shape)).square()
            total = total + (error.sum(dim=(2, 3)) * batch.weights.to(predicted)).mean()
        return total

    def targets(self, batch: Batch) -> list[torch.Tensor]:
        """Return label heatmaps (B * K, h, w) of each size."""
        xy = batch.xy.numpy().reshape(-1, 2)
        maps = []
        for map_wh in _map_sizes(self.spec):
            stride = _stride(map_wh, self.spec)
            maps.append(heatmaps(xy / stride, map_wh, _sigma(self.spec, stride)))
        return [torch.from_numpy(each) for each in maps]


@dataclass(frozen=True, slots=True)
class DeepSupervisionDistillLoss(TargetLoss[list[tuple[torch.Tensor, torch.Tensor]]]):
    """Squared error of inner heatmaps against the teacher's, of every keypoint, inside the teacher's crop."""

    spec: ModelSpec
    own: int
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (*outputs, *inner heatmaps)."""
        total = outputs[0].new_zeros(())
        pairs = zip(outputs[self.own :], self.take_targets(batch), strict=True)
        for predicted, (maps, weights) in pairs:
            error = (predicted - maps.to(predicted)).square() * weights.to(predicted)
            total = total + error.sum(dim=(2, 3)).mean()
        return total

    def targets(self, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return the teacher's maps and weights (B, K, h, w) of each size."""
        found = []
        for map_wh in _map_sizes(self.spec):
            stride = _stride(map_wh, self.spec)
            found.append(self.teacher.of(batch, map_wh, stride, _sigma(self.spec, stride)))
        return found


def with_deep_supervision(
    student: Any, keypoints: int, input_wh: tuple[int, int], seed: int
) -> DeeplySupervised:
    """Return the student with inner heatmaps, whose initial weights are drawn from the seed.

    For a family in SUPPORTED_FAMILIES.
    """
    channels = map_channels(student.backbone, input_wh)
    return DeeplySupervised(student, channels, keypoints, seed)


def deep_supervision_losses(
    spec: ModelSpec, weight: float, teacher: TeacherMaps | None, *, labelled: bool
) -> dict[str, WeightedLoss]:
    """Return the losses of the inner heatmaps, against labels, a teacher's heatmaps or both; they fade to 0."""
    own = len(spec.outputs)
    losses = {}
    if labelled:
        losses["guide"] = WeightedLoss(DeepSupervisionLoss(spec, own), weight, 0.0)
    if teacher is not None:
        loss = DeepSupervisionDistillLoss(spec, own, teacher)
        losses["guide taught"] = WeightedLoss(loss, weight, 0.0)
    return losses


def without_deep_supervision(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the bare student's tensors from the state dict of a `DeeplySupervised`."""
    return {name: value for name, value in state.items() if not name.startswith(PREFIX)}


def _map_sizes(spec: ModelSpec) -> list[Size]:
    """Return the width and height of the backbone's inner maps."""
    width, height = spec.image.wh
    return [(width // stride, height // stride) for stride in STRIDES]


def _stride(map_wh: Size, spec: ModelSpec) -> F64:
    """Return input pixels per bin of a heatmap, (x, y)."""
    return np.array(spec.image.wh, np.float64) / map_wh


def _sigma(spec: ModelSpec, stride: F64) -> F64:
    """Return the sigma of Gaussians on a heatmap, in bins, (x, y)."""
    sigma: F64 = np.maximum(heatmap_sigma(spec.image.wh) / stride, MIN_SIGMA)
    return sigma
