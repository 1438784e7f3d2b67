"""ViTPose's sizes: the transformer, its stride and windows, its decoder, and whether it has a knowledge token.

A size is a published name (`s`, `b`, `l`, `h`) or spells out channels, blocks and heads (`192x6x3`). Then come, where
they are not the published ones and in this order: `-stride8` (and `-maps2` for heatmaps of stride 2), the windows
(`-window8x8-shift-pool-full3`, see `vit_windows`), `-relpos` for relative positions (`vit_relative`), the decoder, and
`-token` (ViTPose++, arXiv:2212.04246, sections 3.3 and 3.4).
"""

import re
from dataclasses import dataclass

from torch import nn

from export.models.vit import PATCH
from export.models.vit_sizes import VitSize, parse_size, size_name
from export.models.vit_windows import Windows, parse_windows, spell_windows
from export.models.vitpose_decoders import BOTTOM_UP, DECODERS
from runtimes.errors import CheckpointError

# Twelve heads for the smallest as well: 32 channels each, not the usual 64.
PUBLISHED = {
    "s": VitSize(384, 12, 12),
    "b": VitSize(768, 12, 12),
    "l": VitSize(1024, 24, 16),
    "h": VitSize(1280, 32, 16),
}
KNOWLEDGE_SUFFIX = "-token"
STRIDES = (PATCH, 8)
# Every published width with every decoder of top-down networks.
SIZES = tuple(
    f"{name}{decoder}" for decoder in DECODERS if decoder != BOTTOM_UP for name in PUBLISHED
)
SPELLED = re.compile(
    r"(?P<backbone>[^-]+)(?:-stride(?P<stride>8)(?P<fine>-maps2)?)?(?P<windows>-window[^-]+(?:-(?:shift|pool|full\d+))*)?(?P<relative>-relpos)?"
    rf"(?P<decoder>{'|'.join(DECODERS)})(?P<token>{KNOWLEDGE_SUFFIX})?"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The meaning of a size.

    decoder: a name in DECODERS. tokens: number of knowledge tokens. stride, map_stride: input pixels from patch to
    patch, and from bin to bin of the heatmaps. windows: of the attention, None for all patches.
    """

    backbone: VitSize
    decoder: str = ""
    tokens: int = 0
    stride: int = PATCH
    map_stride: int = 4
    windows: Windows | None = None

    @property
    def upscale(self) -> int:
        """The factor by which the decoder enlarges the features."""
        return self.stride // self.map_stride

    @property
    def is_bottom_up(self) -> bool:
        """Whether the network takes the whole frame and gives heatmaps and tags."""
        return self.decoder == BOTTOM_UP

    def head(self, keypoints: int) -> nn.Module:
        """Return the decoder, initialised."""
        return DECODERS[self.decoder](self.backbone.dim, keypoints, self.upscale)


def plan_of(size: str) -> Plan:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    found = SPELLED.fullmatch(size)
    backbone = parse_size(found["backbone"], PUBLISHED) if found else None
    attention = (found["windows"] or "") + (found["relative"] or "") if found else ""
    windows = parse_windows(attention)
    if found is None or backbone is None or (attention and windows is None):
        raise CheckpointError(
            f"vitpose has no size {size!r}; give one of {', '.join(SIZES)}, or channels x blocks x heads as 192x6x3 "
            "(channels a multiple of heads), then -stride8, -window8x8 (-shift, -pool, -full3), -relpos, and -simple, "
            "-minimal, -pixelshuffle or -ae for those decoders"
        )
    if windows and found["token"]:
        raise CheckpointError(
            f"vitpose has no size {size!r}: a knowledge token lies in no window; leave -token or -window out"
        )
    return Plan(
        backbone,
        found["decoder"],
        int(found["token"] is not None),
        int(found["stride"] or PATCH),
        2 if found["fine"] else 4,
        windows,
    )


def spell_plan(plan: Plan) -> str:
    """Return the size's name: the inverse of `plan_of`."""
    stride = "" if plan.stride == PATCH else f"-stride{plan.stride}"
    stride += "-maps2" if plan.map_stride == 2 else ""
    token = KNOWLEDGE_SUFFIX if plan.tokens else ""
    name = size_name(plan.backbone, PUBLISHED)
    return f"{name}{stride}{spell_windows(plan.windows)}{plan.decoder}{token}"
