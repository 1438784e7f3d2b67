"""ViTPose's sizes: the transformer, its decoder, and whether a knowledge token stands beside the patches.

A size is a published name (`s`, `b`, `l`, `h`) or spells out channels, blocks and heads (`192x6x3`); then comes the
decoder where it is not the classic one, then `-token` (ViTPose++, arXiv:2212.04246, section 3.4).
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from export.models.vit_sizes import VitSize, parse_size
from export.models.vitpose_decoders import DECODERS
from runtimes.errors import CheckpointError

# Twelve heads for the smallest as well: 32 channels each, not the usual 64.
PUBLISHED = {
    "s": VitSize(384, 12, 12),
    "b": VitSize(768, 12, 12),
    "l": VitSize(1024, 24, 16),
    "h": VitSize(1280, 32, 16),
}
KNOWLEDGE_SUFFIX = "-token"
# Every published width with every decoder.
SIZES = tuple(f"{name}{decoder}" for decoder in DECODERS for name in PUBLISHED)


@dataclass(frozen=True, slots=True)
class Plan:
    """The meaning of a size: transformer, decoder ((channels, keypoints) -> module), number of knowledge tokens."""

    backbone: VitSize
    decoder: Callable[[int, int], nn.Module]
    tokens: int


def plan_of(size: str) -> Plan:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    bare = size.removesuffix(KNOWLEDGE_SUFFIX)
    tokens = int(bare != size)
    for suffix, decoder in reversed(DECODERS.items()):
        backbone = parse_size(bare.removesuffix(suffix), PUBLISHED)
        if bare.endswith(suffix) and backbone:
            return Plan(backbone, decoder, tokens)
    raise CheckpointError(
        f"vitpose has no size {size!r}; give one of {', '.join(SIZES)}, or channels x blocks x heads as 192x6x3 "
        "(channels a multiple of heads), then -simple or -minimal for those decoders"
    )
