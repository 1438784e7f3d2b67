"""The uint8 input as a torch module: BGR pixels in, the float network behind it.

The mean is subtracted before the first convolution, so that its zero padding still means "mean colour"; channel order
and 1/std are folded into its weights. The wrapper then takes under 0.1 ms (`benchmarks/seam.py`).
"""

from typing import Any

import torch
from torch import nn

from export.fold import shared_copy
from runtimes.errors import ConversionError
from runtimes.spec import ImageSpec


class ImageInput(nn.Module):
    """uint8 BGR (B, H, W, 3) -> the network's outputs.

    `network` is a copy of the float module with channel order and 1/std folded into its first convolution.
    """

    def __init__(self, network: nn.Module, image: ImageSpec) -> None:
        super().__init__()
        self.network = fold_colour(network, image)
        mean = image.mean[::-1] if image.order == "RGB" else image.mean
        self.register_buffer("mean_bgr", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))

    def forward(self, image: torch.Tensor) -> Any:
        """Run the network on uint8 BGR (B, H, W, 3)."""
        # contiguous() saves 26 nodes in which the ONNX exporter would express the permuted strides
        pixels = image.to(torch.float32).permute(0, 3, 1, 2).contiguous()
        return self.network(pixels - self.mean_bgr)


def fold_colour(network: nn.Module, image: ImageSpec) -> nn.Module:
    """Return a copy of `network` that takes BGR - mean instead of the normalised image in `image.order`.

    Raises ConversionError unless the input of the network goes to exactly one 3-channel convolution.
    """
    folded = shared_copy(network)
    conv = first_convolution(folded, image.wh)
    with torch.no_grad():
        scale = torch.tensor(image.std, dtype=conv.weight.dtype).view(1, 3, 1, 1)
        weight = conv.weight / scale
        weight = weight.flip(1) if image.order == "RGB" else weight
    conv.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    return folded


def first_convolution(network: nn.Module, wh: tuple[int, int]) -> nn.Conv2d:
    """Return the convolution that takes the image, found by running the network once."""
    seen: list[tuple[nn.Conv2d, bool]] = []
    pixels = torch.zeros(1, 3, wh[1], wh[0])

    def note(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            seen.append((module, inputs[0] is pixels))

    hooks = [module.register_forward_pre_hook(note) for module in network.modules()]
    try:
        with torch.no_grad():
            network(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    entries = [conv for conv, takes_image in seen if takes_image]
    if len(entries) != 1 or entries[0].in_channels != 3 or entries[0].groups != 1:
        raise ConversionError(
            "the image must go to one plain 3-channel convolution for std to be folded into it"
        )
    return entries[0]
