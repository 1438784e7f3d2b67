"""A network as backbone and head, run separately so that the backbone's feature maps can be used.

Both are called directly, without hooks, so gradients and their synchronisation over processes work as usual.
"""

from typing import Any, TypeAlias

import torch
from torch import nn
from torch.func import functional_call

from edge.geometry import Size

Outputs = tuple[torch.Tensor, ...]
Maps: TypeAlias = torch.Tensor | tuple[torch.Tensor, ...]  # of a backbone; a transformer gives one
BACKBONES = ("backbone", "preact")  # attribute names of the families; AlphaPose's is preact


def backbone_of(module: Any) -> Any:
    """Return the network's backbone; None where it has none under a known name."""
    return next((getattr(module, name) for name in BACKBONES if hasattr(module, name)), None)


def last_map(maps: Maps) -> torch.Tensor:
    """Return the last of a backbone's feature maps, (B, C, h, w)."""
    return maps[-1] if isinstance(maps, tuple) else maps


def run_head(head: Any, maps: Maps) -> Outputs:
    """Return the head's outputs of a backbone's maps as a tuple; a heatmap head gives a bare tensor."""
    outputs = head(maps)
    return outputs if isinstance(outputs, tuple) else (outputs,)


def map_channels(backbone: nn.Module, input_wh: Size) -> tuple[int, ...]:
    """Return the channels of every feature map of the backbone, without computing any."""
    tensors = {**dict(backbone.named_parameters()), **dict(backbone.named_buffers())}
    shapes = {name: tensor.detach().to("meta") for name, tensor in tensors.items()}
    image = torch.empty(1, 3, input_wh[1], input_wh[0], device="meta")
    outputs = functional_call(backbone, shapes, (image,))
    maps = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(int(each.shape[1]) for each in maps)
