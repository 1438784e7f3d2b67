"""Random weights with realistic activations, for smoke tests, speed measurements and tests without a checkpoint.

With a default initialisation activations vanish in CSPNeXt's hundred layers in eval mode, and identity batch norms
would hide errors in folding. Here the statistics of every batch norm are set from its real input, then disturbed: that
keeps activations near 1, and every weight matters.
"""

import math
from typing import Any

import torch
from torch import nn

from devices.detect import detect_machine
from edge.catalog.lookup import find
from export.checkpoint import LoadedModel
from export.limits import refuse_unloadable, weight_bytes
from export.lineage import random_lineage
from export.models.layers import HiddenConv
from export.registry import Variant, load_family, model_name, variant_of

PREDICTION_GAIN = 0.15  # of convolutions with a bias: predictions stay near their prior, so that nothing is detected


def random_model(name: str, seed: int = 0) -> LoadedModel:
    """Return the catalogue model `name` with weights drawn from `seed`.

    Raises InputError for an unknown name and for one larger than this machine's memory, CheckpointError for a model
    without a PyTorch definition.
    """
    return random_variant(variant_of(find(name)), seed)


def random_variant(variant: Variant, seed: int = 0) -> LoadedModel:
    """Return that network, catalogued or not, with weights drawn from `seed`.

    Raises InputError where it is larger than this machine's memory.
    """
    family = load_family(variant.family)
    with torch.device("meta"):
        weights = weight_bytes(family.build(variant))
    refuse_unloadable(model_name(variant), weights, detect_machine().memory_bytes)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # what `_draw` leaves as torch draws it, such as biases
        module = family.build(variant).eval().requires_grad_(requires_grad=False)
    for layer in module.modules():
        _draw(layer, generator)
    spec = family.spec(variant, model_name(variant))
    _settle_norms(module, spec.image.wh, generator)
    return LoadedModel(module, spec, random_lineage(variant), variant)


def _draw(layer: nn.Module, generator: torch.Generator) -> None:
    """Draw the layer's own parameters; biases of convolutions keep the family's prior."""
    match layer:
        case HiddenConv():
            # He's gain (arXiv:1502.01852): a ReLU takes half of the power
            fan_in = math.prod(layer.weight.shape[1:])
            layer.weight.normal_(0.0, math.sqrt(2 / fan_in), generator=generator)
        case nn.Conv2d() | nn.Linear():
            gain = 1.0 if layer.bias is None else PREDICTION_GAIN
            fan_in = math.prod(layer.weight.shape[1:])
            layer.weight.normal_(0.0, gain / math.sqrt(fan_in), generator=generator)
        case nn.BatchNorm2d():
            layer.weight.uniform_(0.5, 1.5, generator=generator)
            layer.bias.normal_(0.0, 0.2, generator=generator)
        case _:
            for parameter in layer.parameters(recurse=False):
                noise = torch.empty_like(parameter).normal_(0.0, 0.1, generator=generator)
                parameter.add_(noise)


def _settle_norms(module: nn.Module, input_wh: tuple[int, int], generator: torch.Generator) -> None:
    """Set the statistics of each batch norm from its input, in one pass over noise.

    The scale is a power of two, so that it does not depend on the machine's rounding; channels spread around it.
    """

    def settle(norm: nn.BatchNorm2d, inputs: tuple[Any, ...]) -> None:
        power = inputs[0].square().mean().item()
        scale = 2.0 ** round(math.log2(power))
        norm.running_var.uniform_(0.5 * scale, 1.5 * scale, generator=generator)
        norm.running_mean.normal_(0.0, 0.3 * math.sqrt(scale), generator=generator)

    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    width, height = input_wh
    try:
        with torch.no_grad():
            module(torch.randn(1, 3, height, width, generator=generator))
    finally:
        for hook in hooks:
            hook.remove()
