"""Further heads on the student's backbone, one a keypoint set, for data sets whose labels differ (ViTPose++ 3.5).

Batches mix the sets; each person is labelled in the keypoints of its own. Outputs of all heads are joined along their
keypoints, so that losses see one network of more keypoints (`data.joined_keypoints`). Training ends with the student's
own head alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from edge.schema import KeypointSchema
from export.registry import Variant
from quantize.distill.backbone_head import Maps, Outputs, run_head
from quantize.distill.student import new_student

OWN, EXTRA = "head.own.", "head.extra."


class JoinedHeads(nn.Module):
    """The student's own head and further ones on the same feature maps."""

    def __init__(self, own: nn.Module, extra: Sequence[nn.Module]) -> None:
        super().__init__()
        self.own = own
        self.extra = nn.ModuleList(extra)

    def forward(self, maps: Maps) -> Outputs:
        """Return each output of all heads, joined along the keypoints: (B, K + ..., ...)."""
        each = [run_head(head, maps) for head in (self.own, *self.extra)]
        return tuple(torch.cat(outputs, dim=1) for outputs in zip(*each, strict=True))


def add_heads(module: Any, variant: Variant, sets: Sequence[KeypointSchema], seed: int) -> None:
    """Give the student a further head for each keypoint set, in place, with random weights drawn from the seed."""
    extra = [
        new_student(replace(variant, schema=each), seed + place).head
        for place, each in enumerate(sets, 1)
    ]
    module.head = JoinedHeads(module.head, extra)


def own_head(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a trained state dict without the further heads, under the student's own names."""
    return {
        name.replace(OWN, "head.", 1) if name.startswith(OWN) else name: tensor
        for name, tensor in state.items()
        if not name.startswith(EXTRA)
    }
