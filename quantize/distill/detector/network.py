"""The detector to train: the network of a name, and its initial weights."""

from typing import Any

import torch
from torch import nn

from export.checkpoint import LoadedModel
from export.registry import Variant, load_family
from quantize.distill.detector.config import FAMILY, is_detector
from quantize.distill.initial_weights import load_backbone, load_init
from runtimes.errors import InputError

HEAD_STD = 0.01  # mmdet's initial last layers: all points start alike


def detector_variant(name: str, input_wh: tuple[int, int] | None = None) -> Variant:
    """Return the person detector of a name such as `rtmdet-nano`.

    Raises InputError for an unknown size, and for an input whose sides are no multiples of 32.
    """
    family = load_family(FAMILY)
    sizes = {variant.size: variant for variant in family.candidates()}
    size = name.removeprefix(f"{FAMILY}-")
    if not is_detector(name) or size not in sizes:
        known = ", ".join(f"{FAMILY}-{each}" for each in sizes)
        raise InputError(f"{name!r} is no detector that can be trained; known: {known}")
    return family.resize(sizes[size], input_wh) if input_wh else sizes[size]


def new_detector(variant: Variant, seed: int, init: str = "") -> nn.Module:
    """Return the detector before its first step, in training mode: random weights drawn from the seed, or `init`'s.

    Of an `init` with other classes only backbone and neck are taken, of another network with the same backbone only
    that. Raises InputError for any other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = load_family(FAMILY).build(variant).train()
        head = module.bbox_head
        for layer in (*head.rtm_cls, *head.rtm_reg):
            nn.init.normal_(layer.weight, std=HEAD_STD)
    if init:
        _take_weights(module, load_init(init, variant), variant)
    converted: nn.Module = module.to(memory_format=torch.channels_last)  # twice as fast on CPUs
    return converted


def _take_weights(module: Any, loaded: LoadedModel, variant: Variant) -> None:
    if (loaded.family, loaded.size) != (variant.family, variant.size):
        load_backbone(module, loaded, variant.input_wh)
    elif loaded.variant.classes == variant.classes:
        module.load_state_dict(loaded.module.state_dict())
    else:
        module.backbone.load_state_dict(loaded.module.backbone.state_dict())
        module.neck.load_state_dict(loaded.module.neck.state_dict())
