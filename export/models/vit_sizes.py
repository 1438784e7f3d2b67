"""Sizes of vision transformers: channels, blocks and attention heads, from tensors or from a name.

A size is a published name, or spells out all three: `192x6x3` is 192 channels, 6 blocks, 3 heads.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.models.checks import block_indices
from export.registry import Hints
from runtimes.errors import CheckpointError

BLOCKS = "backbone.layers."
HEAD_CHANNELS = (
    64  # a head of ViT-B, -L and -H (arXiv:2010.11929, table 1) has as many but for H's 80
)
SPELLED = re.compile(r"(\d{2,4})x(\d{1,3})x(\d{1,2})")


@dataclass(frozen=True, slots=True)
class VitSize:
    """Channels, blocks and attention heads; tensors show the first two only."""

    dim: int
    depth: int
    heads: int


def read_size(
    family: str,
    state: Mapping[str, Any],
    dim: int,
    published: Mapping[str, VitSize],
    hints: Hints,
) -> VitSize:
    """Return the size of a backbone of `dim` channels.

    Heads are the user's, else the published ones of that width, else what a config beside the tensors says, else one
    for each 64 channels. Raises CheckpointError for a missing block and for heads that remain unknown.
    """
    usual = dim // HEAD_CHANNELS if dim % HEAD_CHANNELS == 0 else None
    by_width = {size.dim: size.heads for size in published.values()}
    known = (hints.heads, by_width.get(dim), hints.config_heads, usual)
    heads = next((each for each in known if each is not None), None)
    if heads is None:
        raise CheckpointError(
            f"looks like {family}, but is {dim} wide, and its tensors do not show how many attention heads that is; "
            "give --heads N"
        )
    if heads < 1 or dim % heads:
        raise CheckpointError(
            f"looks like {family}, but its {dim} channels cannot be divided among {heads} attention heads; "
            "give another --heads N"
        )
    return VitSize(dim, read_depth(family, state), heads)


def size_name(size: VitSize, published: Mapping[str, VitSize]) -> str:
    """Return the published name of a size, or spell it out."""
    spelled = f"{size.dim}x{size.depth}x{size.heads}"
    return next((name for name, known in published.items() if known == size), spelled)


def parse_size(text: str, published: Mapping[str, VitSize]) -> VitSize | None:
    """Return the size that a name means; None where it means nothing."""
    if text in published:
        return published[text]
    found = SPELLED.fullmatch(text)
    if found is None:
        return None
    dim, depth, heads = map(int, found.groups())
    return VitSize(dim, depth, heads) if depth and heads and dim % heads == 0 else None


def read_depth(family: str, state: Mapping[str, Any]) -> int:
    """Return the number of blocks; raises CheckpointError where one is missing among them."""
    blocks = block_indices(state, BLOCKS)
    missing = next(index for index in itertools.count() if str(index) not in blocks)
    if missing != len(blocks) or not blocks:
        raise CheckpointError(
            f"looks like {family}, but lacks block {missing} of its backbone; give a complete checkpoint"
        )
    return len(blocks)
