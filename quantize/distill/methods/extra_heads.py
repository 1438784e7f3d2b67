"""Further heads on the student's backbone, one a keypoint set, for data sets whose labels differ (ViTPose++ 3.5).

Batches mix the sets; each person is labelled in the keypoints of its own. Outputs of all heads are joined along their
keypoints, so that losses see one network of more keypoints (`data.joined_keypoints`). In training each head is given
the crops that supervise it, so that its batch norms have the statistics of its own set. The trained network gives its
own head's outputs, and carries the others along for `export --task SET`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge.schema import KeypointSchema
from edge.types import Mask
from export.registry import Variant
from quantize.distill.backbone_head import Maps, Outputs, last_map, run_head
from quantize.distill.data.batches import Batch
from quantize.distill.student import new_student

OWN, EXTRA = "head.own.", "head.extra."


class JoinedHeads(nn.Module):
    """The student's own head and further ones on the same feature maps.

    rows: of the next training batch, those that each head is given; None for all, as in evaluation.
    """

    def __init__(self, own: nn.Module, extra: Sequence[nn.Module]) -> None:
        super().__init__()
        self.own = own
        self.extra = nn.ModuleList(extra)
        self.rows: tuple[torch.Tensor | None, ...] = (None,) * (1 + len(extra))

    def forward(self, maps: Maps) -> Outputs:
        """Return each output of all heads, joined along the keypoints: (B, K + ..., ...), 0 in rows not given."""
        heads = (self.own, *self.extra)
        rows = self.rows if self.training else (None,) * len(heads)
        each = [_run_rows(head, maps, own) for head, own in zip(heads, rows, strict=True)]
        return tuple(torch.cat(outputs, dim=1) for outputs in zip(*each, strict=True))


@dataclass(frozen=True, slots=True)
class HeadRows:
    """The rows of a batch that supervise each head: labelled in its keypoints, or all where the teacher knows some.

    keypoints: number of keypoints of each head. taught: for each, whether a teacher supervises every crop there.
    """

    heads: JoinedHeads
    keypoints: tuple[int, ...]
    taught: tuple[bool, ...]

    def choose(self, batch: Batch) -> None:
        """Give each head its rows of the batch that the network is run on next."""
        labelled = (each.any(dim=1) for each in (batch.weights > 0).split(self.keypoints, dim=1))
        self.heads.rows = tuple(
            None if taught or bool(own.all()) else own.nonzero().flatten()
            for taught, own in zip(self.taught, labelled, strict=True)
        )


def add_heads(
    module: Any, variant: Variant, sets: Sequence[KeypointSchema], seed: int
) -> JoinedHeads:
    """Give the student a further head for each keypoint set, in place, with random weights drawn from the seed."""
    heads = module.head = JoinedHeads(module.head, _new_heads(variant, sets, seed))
    return heads


def rows_of_heads(
    heads: JoinedHeads, joined: KeypointSchema, sets: Sequence[KeypointSchema], known: Mask | None
) -> HeadRows:
    """Return the choice of rows. joined: keypoints of all heads; sets: of the further ones; known: to the teacher."""
    further = [len(each) for each in sets]
    counts = (len(joined) - sum(further), *further)
    cuts = np.cumsum(counts)[:-1]
    known = np.zeros(len(joined), np.bool_) if known is None else known
    return HeadRows(heads, counts, tuple(bool(each.any()) for each in np.split(known, cuts)))


def _run_rows(head: nn.Module, maps: Maps, rows: torch.Tensor | None) -> Outputs:
    """Return the head's outputs of these rows of the maps, among zeros for the others."""
    if rows is None:
        return run_head(head, maps)
    last = last_map(maps)
    rows = rows.to(last.device)
    outputs = run_head(head, _taken(maps, rows)) if len(rows) else _run_empty(head, maps, rows)
    return tuple(
        each.new_zeros(len(last), *each.shape[1:]).index_copy(0, rows, each) for each in outputs
    )


def _taken(maps: Maps, rows: torch.Tensor) -> Maps:
    if isinstance(maps, tuple):
        return tuple(each.index_select(0, rows) for each in maps)
    return maps.index_select(0, rows)


def _run_empty(head: nn.Module, maps: Maps, rows: torch.Tensor) -> Outputs:
    """Return the head's outputs of no crop: its gradients are 0, as processes exchange them, and statistics stay.

    Synchronised batch norms do count no crop, and the other processes wait for them.
    """
    norms = [part for part in head.modules() if isinstance(part, _BatchNorm) and part.training]
    if any(isinstance(part, nn.SyncBatchNorm) for part in norms):
        return run_head(head, _taken(maps, rows))
    for part in norms:
        part.eval()
    one = run_head(head, _taken(maps, rows.new_zeros(1)))
    for part in norms:
        part.train()
    return tuple(each[:0] for each in one)


def own_head(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a trained state dict without the further heads, under the student's own names."""
    return {
        name.replace(OWN, "head.", 1) if name.startswith(OWN) else name: tensor
        for name, tensor in state.items()
        if not name.startswith(EXTRA)
    }


def carry_heads(
    extract: Callable[[Mapping[str, torch.Tensor]], nn.Module],
    variant: Variant,
    sets: Sequence[KeypointSchema],
) -> Callable[[Mapping[str, torch.Tensor]], nn.Module]:
    """Return an extract of the student whose network also has the further heads, which its forward does not use."""

    def extract_all(state: Mapping[str, torch.Tensor]) -> nn.Module:
        module: Any = extract(own_head(state))
        module.further_heads = nn.ModuleList(_new_heads(variant, sets, 0))
        module.further_heads.load_state_dict(
            {
                name.removeprefix(EXTRA): tensor
                for name, tensor in state.items()
                if name.startswith(EXTRA)
            }
        )
        network: nn.Module = module.eval()
        return network

    return extract_all


def _new_heads(variant: Variant, sets: Sequence[KeypointSchema], seed: int) -> list[Any]:
    return [
        new_student(replace(variant, schema=each), seed + place).head
        for place, each in enumerate(sets, 1)
    ]
