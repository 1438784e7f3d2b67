"""A network as two halves: the backbone, whose last map of features is looked at, and the head that reads it.

The halves are called as they are, without hooks: so gradients flow, and processes add up, as in the whole network.
"""

from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from edge.geometry import Size

Outputs = tuple[torch.Tensor, ...]
BACKBONES = ("backbone", "preact")  # what families call theirs; AlphaPose says preact


def backbone_of(module: Any) -> Any:
    """Return the network's backbone; None where it has none by a known name."""
    return next((getattr(module, name) for name in BACKBONES if hasattr(module, name)), None)


def last_map(backbone: Any, image: torch.Tensor) -> torch.Tensor:
    """Return the last features (B, C, h, w) of a normalised image; RTMPose's backbone gives three maps."""
    found = backbone(image)
    features: torch.Tensor = found[-1] if isinstance(found, tuple) else found
    return features


def read(head: Any, features: torch.Tensor) -> Outputs:
    """Return what the head makes of the features, as a tuple; a head of heatmaps gives a bare tensor."""
    found = head(features)
    return found if isinstance(found, tuple) else (found,)


def channels_of(backbone: nn.Module, input_wh: Size) -> int:
    """Return the channels of the last features, found without computing any."""
    return channels_of_maps(backbone, input_wh)[-1]


def channels_of_maps(backbone: nn.Module, input_wh: Size) -> tuple[int, ...]:
    """Return the channels of every map that the backbone gives, found without computing any."""
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    shapes = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    image = torch.empty(1, 3, input_wh[1], input_wh[0], device="meta")
    found = functional_call(backbone, shapes, (image,))
    maps = found if isinstance(found, tuple) else (found,)
    return tuple(int(each.shape[1]) for each in maps)
