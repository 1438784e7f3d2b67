"""RTMDet's sizes: backbone, neck, width of the head, and how distances are coded.

A size is a published name (`nano` to `x`), or spells it out: the backbone (`cspnext_backbone.spell_size`), `-neck1` for
the blocks of a CSP layer in the neck, `-head128` where the head is not as wide as the second stage, and `-exp`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from export.models.checks import block_indices
from export.models.cspnext_backbone import CSPNeXtSize, parse_size, scaled, spell_size
from export.models.cspnext_backbone import read_size as read_backbone
from export.registry import Hints
from runtimes.errors import CheckpointError

CLASSES = "bbox_head.rtm_cls.0.weight"
MARKS = (CLASSES, "bbox_head.rtm_reg.0.weight")
NECK_BLOCKS = "neck.top_down_blocks.0.blocks."
SPELLED = re.compile(
    r"(?P<backbone>.+)-neck(?P<neck>\d{1,2})(-head(?P<head>\d{1,4}))?(?P<exp>-exp)?"
)


@dataclass(frozen=True, slots=True)
class Size:
    """The backbone, CSP blocks in the neck, channels of the head, and how distances are coded.

    `exponent`: distance = exp(output) * stride instead of output * stride. Tensors do not show it; mmdet's configs
    (`exp_on_reg`) set it for m, l and x only.
    """

    backbone: CSPNeXtSize
    neck_blocks: int
    features: int
    exponent: bool


def _published(backbone: CSPNeXtSize, neck_blocks: int, *, exponent: bool) -> Size:
    return Size(backbone, neck_blocks, backbone.stages[1], exponent)


PUBLISHED = {
    "nano": _published(scaled(0.33, 0.25, depthwise=True), 1, exponent=False),
    "tiny": _published(scaled(0.167, 0.375), 1, exponent=False),
    "s": _published(scaled(0.33, 0.5), 1, exponent=False),
    "m": _published(scaled(0.67, 0.75), 2, exponent=True),
    "l": _published(scaled(1.0, 1.0), 3, exponent=True),
    "x": _published(scaled(1.33, 1.25), 4, exponent=True),
}
# Published networks no wider than this code distances plainly.
PLAIN_CHANNELS = PUBLISHED["s"].backbone.channels


def read_size(state: Mapping[str, torch.Tensor], hints: Hints) -> Size | None:
    """Return the size of a detector's tensors, or None where they are not RTMDet's.

    The coding of distances is a config's where there is one, else that of the published sizes of such a width.
    """
    backbone = read_backbone(state)
    if backbone is None or any(key not in state or state[key].ndim != 4 for key in MARKS):
        return None
    neck_blocks = len(block_indices(state, NECK_BLOCKS))
    if not neck_blocks:
        return None
    exponent = hints.exponent
    if exponent is None:
        exponent = backbone.channels > PLAIN_CHANNELS
    return Size(backbone, neck_blocks, state[CLASSES].shape[1], exponent)


def size_name(size: Size) -> str:
    """Return the published name of a size, or spell it out."""
    head = "" if size.features == size.backbone.stages[1] else f"-head{size.features}"
    exponent = "-exp" * size.exponent
    spelled = f"{spell_size(size.backbone)}-neck{size.neck_blocks}{head}{exponent}"
    return next((name for name, known in PUBLISHED.items() if known == size), spelled)


def size_of(name: str) -> Size:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    found = SPELLED.fullmatch(name)
    backbone = parse_size(found["backbone"]) if found else None
    if found is None or backbone is None or not int(found["neck"]):
        raise CheckpointError(f"rtmdet has no size {name!r}; known are {', '.join(PUBLISHED)}")
    size = _published(backbone, int(found["neck"]), exponent=found["exp"] is not None)
    return replace(size, features=int(found["head"])) if found["head"] else size
