"""Layers that CMU's OpenPose networks share: VGG-19's first ten convolutions, under Caffe's names.

Ports to PyTorch keep Caffe's names of the layers and put different prefixes before them.
"""

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import nn

from export.models.layers import HiddenConv

# Channels of each convolution of the trunk; None is a 2x2 maximum, which halves the map.
TRUNK: tuple[tuple[str, int | None], ...] = (
    ("conv1_1", 64), ("conv1_2", 64), ("pool1_stage1", None),
    ("conv2_1", 128), ("conv2_2", 128), ("pool2_stage1", None),
    ("conv3_1", 256), ("conv3_2", 256), ("conv3_3", 256), ("conv3_4", 256), ("pool3_stage1", None),
    ("conv4_1", 512), ("conv4_2", 512), ("conv4_3_CPM", 256), ("conv4_4_CPM", 128),
)  # fmt: skip
FEATURES = 128  # channels that the trunk ends in

State = Mapping[str, torch.Tensor]


def trunk(learned: tuple[str, ...] = ()) -> nn.Sequential:
    """Return the layers from a BGR image to features (B, 128, H / 8, W / 8).

    learned: the convolutions followed by a PReLU, under Caffe's names; a ReLU follows the others.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for name, width in TRUNK:
        if width is None:
            layers[name] = nn.MaxPool2d(2)
            continue
        layers[name] = HiddenConv(channels, width, 3, padding=1)
        activation = name.replace("conv", "prelu" if name in learned else "relu")
        layers[activation] = nn.PReLU(width) if name in learned else nn.ReLU()
        channels = width
    return nn.Sequential(layers)


def by_layer_name(state: State, module: nn.Module) -> State:
    """Return the tensors under the paths of the same layers in `module`, whatever prefix they had.

    Names are matched by their last two parts (`conv1_1.weight`); a tensor without a layer in the module keeps its name,
    so that strict loading reports it.
    """
    paths = {_layer(path): path for path in module.state_dict()}
    return {paths.get(_layer(key), key): value for key, value in state.items()}


def layer_names(state: State) -> frozenset[str]:
    """Return the names that `by_layer_name` matches."""
    return frozenset(map(_layer, state))


def _layer(path: str) -> str:
    return ".".join(path.split(".")[-2:])
