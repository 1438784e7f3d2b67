"""Count of a network's multiply-accumulates, weights, and bytes in and out, for `artifact.json`."""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from runtimes.spec import Cost, ModelSpec


def network_cost(module: nn.Module, spec: ModelSpec) -> Cost:
    """Return the cost of one image: `module` (eval) runs without data, on tensors that have shapes alone.

    PyTorch's own counter counts 2 operations a multiply-accumulate, of convolutions (transposed ones too), linear
    layers and matrix products, those of attention included. What is done element by element (activations, norms that
    are not folded, softmax, resizing) is not counted.
    """
    width, height = spec.image.wh
    shapes = _without_data(module)
    image = torch.empty(1, 3, height, width, device="meta")
    # a fused kernel for attention would not be counted on every device
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        outputs = shapes(image)
    return Cost(
        macs=counter.get_total_flops() // 2,
        parameters=sum(each.numel() for each in module.parameters()),
        io_bytes=image.numel() + sum(4 * each.numel() for each in outputs),
    )


def _without_data(module: nn.Module) -> nn.Module:
    """Return a copy whose tensors have no data; `module` stays as it is."""
    return copy.deepcopy(module, {id(each): empty for each, empty in _empty(module)})


def _empty(module: nn.Module) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for each in module.parameters():
        yield each, nn.Parameter(each.to("meta"), requires_grad=False)
    for each in module.buffers():
        yield each, each.to("meta")
