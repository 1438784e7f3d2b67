"""OpenPose's first body net (arXiv:1611.08050): VGG features, then six stages that refine fields and heatmaps together.

Checked against pytorch-openpose. `L1` is the fields, `L2` the heatmaps. Two layouts are known: that port's modules
(`model0.conv1_1.weight`), and its published file (`conv1_1.weight`).
"""

from collections import OrderedDict

import torch
from torch import nn

from export.models.layers import HiddenConv
from export.models.openpose_layers import FEATURES, trunk

FIELDS, HEATMAPS = 38, 19
STAGES = range(2, 7)  # that refine; the first sees features only
MARKS = frozenset({"conv4_3_CPM.weight", "conv5_5_CPM_L1.weight", "Mconv7_stage6_L2.weight"})


class OpenPose(nn.Module):
    """A normalised BGR frame, float32 (B, 3, H, W), to heatmaps (B, 19, h, w) and fields (B, 38, h, w), stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.model0 = trunk()
        self.model1_1 = _first_stage(1, FIELDS)
        self.model1_2 = _first_stage(2, HEATMAPS)
        for stage in STAGES:
            self.add_module(f"model{stage}_1", _refining_stage(stage, 1, FIELDS))
            self.add_module(f"model{stage}_2", _refining_stage(stage, 2, HEATMAPS))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last stage's heatmaps and fields.

        The port of the published weights has a ReLU after the last heatmaps, the Caffe net has not. Peaks are above 0,
        so people are the same; the reference of these weights is the port.
        """
        features = self.model0(image)
        fields, heatmaps = self.model1_1(features), self.model1_2(features)
        for stage in STAGES:
            seen = torch.cat([fields, heatmaps, features], dim=1)
            fields = self.get_submodule(f"model{stage}_1")(seen)
            heatmaps = self.get_submodule(f"model{stage}_2")(seen)
        return torch.relu(heatmaps), fields


def _first_stage(branch: int, channels: int) -> nn.Sequential:
    widths = ((FEATURES, 3), (FEATURES, 3), (FEATURES, 3), (512, 1), (channels, 1))
    names = [f"conv5_{number}_CPM_L{branch}" for number in range(1, len(widths) + 1)]
    return _convolutions(FEATURES, names, widths)


def _refining_stage(stage: int, branch: int, channels: int) -> nn.Sequential:
    widths = (*((128, 7),) * 5, (128, 1), (channels, 1))
    names = [f"Mconv{number}_stage{stage}_L{branch}" for number in range(1, len(widths) + 1)]
    return _convolutions(FEATURES + FIELDS + HEATMAPS, names, widths)


def _convolutions(
    channels: int, names: list[str], widths: tuple[tuple[int, int], ...]
) -> nn.Sequential:
    """Return named convolutions of (channels, kernel), a ReLU between every two."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, (width, kernel) in zip(names, widths, strict=True):
        last = name == names[-1]
        convolution = nn.Conv2d if last else HiddenConv
        layers[name] = convolution(channels, width, kernel, padding=kernel // 2)
        if not last:
            layers[f"relu_{name}"] = nn.ReLU()
        channels = width
    return nn.Sequential(layers)
