"""Parts of a student that training treats apart: frozen ones, and transformer blocks that samples skip (drop path)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from export.models.vit import Vit
from export.registry import Variant, load_family
from quantize.distill.backbone_head import backbone_of
from quantize.distill.config import DistillConfig, Part
from runtimes.errors import InputError


def check_parts(config: DistillConfig, variant: Variant) -> None:
    """Raise InputError for a frozen part that the network lacks or that is random, and settings of absent blocks."""
    with torch.device("meta"):
        module = load_family(variant.family).build(variant)
    parts = network_parts(module)
    lacking = [part for part in config.freeze if not parts[part]]
    if lacking:
        has = ", ".join(part for part, modules in parts.items() if modules)
        raise InputError(
            f"--freeze {', '.join(lacking)}: {config.student} has no such part; it has: {has or 'none'}"
        )
    if config.freeze and not config.init:
        raise InputError(
            "--freeze keeps weights as they are, and without --init they are random; add --init CHECKPOINT"
        )
    if config.drop_path and not _blocks(module):
        raise InputError(
            f"--drop-path skips transformer blocks, and {config.student} has none; leave it out"
        )
    if config.layer_decay not in {None, 1.0} and not _blocks(module):
        raise InputError(
            f"--layer-decay is from each transformer block to the one below, and {config.student} has none; leave it "
            "out"
        )


def network_parts(module: nn.Module) -> dict[Part, list[nn.Module]]:
    """Return the modules of each part that can be frozen: ViTPose++'s table of partial fine-tuning, section 4.3."""
    backbone, blocks = backbone_of(module), _blocks(module)
    return {
        "backbone": [] if backbone is None else [backbone],
        "attention": [block.attn for block in blocks],
        "ffn": [block.ffn for block in blocks],
    }


def freeze(module: nn.Module, parts: Sequence[Part]) -> None:
    """Freeze parts of a network in training mode, in place: no gradients, and batch norms keep their statistics."""
    found = network_parts(module)
    for part in parts:
        for each in found[part]:
            each.requires_grad_(requires_grad=False)
            each.eval()


def add_drop_path(module: nn.Module, probability: float) -> None:
    """Let samples skip the branches of transformer blocks in training: the last with this probability, the first never.

    In between it rises linearly (arXiv:1603.09382, as in mmpretrain). Tensors and their names stay as they are.
    """
    blocks = _blocks(module)
    for number, block in enumerate(blocks):
        drop = DropPath(probability * number / max(len(blocks) - 1, 1))
        for branch in (block.attn, block.ffn):
            branch.register_forward_hook(drop)


class DropPath:
    """A forward hook: zeroes a branch's output (B, N, C) for samples drawn at random, and scales it for the others."""

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, branch: nn.Module, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
        """Return the output; unchanged outside training."""
        if not (branch.training and self.probability):
            return output
        kept = 1 - self.probability
        mask = output.new_empty((len(output), 1, 1)).bernoulli_(kept) / kept
        return output * mask


def _blocks(module: nn.Module) -> list[Any]:
    """Return the transformer blocks of a network's backbone, first to last."""
    transformers = [part for part in module.modules() if isinstance(part, Vit)]
    return [block for transformer in transformers for block in transformer.layers]
