"""OpenPose's BODY_25 net (arXiv:1812.08008): VGG features, four stages of fields, then two of heatmaps.

Written after CMU's pose_deploy.prototxt and checked against OpenCV's run of that file (`tests/data/body25_caffe.npz`).
`L2` is the fields, `L1` the heatmaps (the reverse of the first net). Layers are matched by their Caffe names, whatever
prefix a port gives them.
"""

from collections import OrderedDict

import torch
from torch import nn

from export.models.layers import HiddenConv
from export.models.openpose_layers import FEATURES, trunk

FIELDS, HEATMAPS = 52, 26
LEARNT = ("conv4_2", "conv4_3_CPM", "conv4_4_CPM")
BLOCKS = 5
MARKS = frozenset({"prelu4_2.weight", "Mconv7_stage3_L2.weight", "Mconv7_stage1_L1.weight"})


class DenseBlock(nn.Module):
    """Three 3x3 convolutions in a row, each with a PReLU; the output is all three concatenated."""

    def __init__(self, channels: int, width: int, name: str) -> None:
        super().__init__()
        self.name = name
        for step in range(3):
            self.add_module(f"Mconv{name}_{step}", HiddenConv(channels, width, 3, padding=1))
            self.add_module(f"Mprelu{name}_{step}", nn.PReLU(width))
            channels = width

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, 3 * width, h, w)."""
        seen = []
        for step in range(3):
            x = self.get_submodule(f"Mconv{self.name}_{step}")(x)
            x = self.get_submodule(f"Mprelu{self.name}_{step}")(x)
            seen.append(x)
        return torch.cat(seen, dim=1)


class Body25(nn.Module):
    """A normalised BGR frame, float32 (B, 3, H, W), to heatmaps (B, 26, h, w) and fields (B, 52, h, w), stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.features = trunk(LEARNT)
        self.fields = nn.ModuleList(
            [
                _stage(FEATURES, "stage0_L2", (96, 256), FIELDS),
                *(
                    _stage(FEATURES + FIELDS, f"stage{number}_L2", (128, 512), FIELDS)
                    for number in (1, 2, 3)
                ),
            ]
        )
        self.heatmaps = nn.ModuleList(
            [
                _stage(FEATURES + FIELDS, "stage0_L1", (96, 256), HEATMAPS),
                _stage(FEATURES + HEATMAPS + FIELDS, "stage1_L1", (128, 512), HEATMAPS),
            ]
        )

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last heatmaps and the last fields."""
        features = self.features(image)
        fields = self.fields[0](features)
        for stage in self.fields[1:]:
            fields = stage(torch.cat([features, fields], dim=1))
        heatmaps = self.heatmaps[0](torch.cat([features, fields], dim=1))
        return self.heatmaps[1](torch.cat([features, heatmaps, fields], dim=1)), fields


def _stage(channels: int, name: str, widths: tuple[int, int], outputs: int) -> nn.Sequential:
    """Return five dense blocks and two 1x1 convolutions; widths: of a block's convolutions, and of the hidden 1x1."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    width, hidden = widths
    for block in range(1, BLOCKS + 1):
        layers[f"block{block}"] = DenseBlock(channels, width, f"{block}_{name}")
        channels = 3 * width
    layers[f"Mconv6_{name}"] = HiddenConv(channels, hidden, 1)
    layers[f"Mprelu6_{name}"] = nn.PReLU(hidden)
    layers[f"Mconv7_{name}"] = nn.Conv2d(hidden, outputs, 1)
    return nn.Sequential(layers)
