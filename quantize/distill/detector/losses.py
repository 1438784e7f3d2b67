"""What a detector is punished for: quality focal loss of every point, GIoU loss of the points that found somebody.

Weights and normalisers are those of mmdet 3.3.0's RTMDetHead: both losses are sums over the batch, divided by the
summed quality of what was assigned. Boxes are xyxy in input pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from quantize.distill.detector.assignment import Grid, assign, grid_of

BETA = 2.0
GIOU_WEIGHT = 2.0
TINY = 1e-7


@dataclass(frozen=True, slots=True)
class Found:
    """A batch's outputs in one row a picture: logits (B, P), boxes (B, P, 4), and the P points they belong to."""

    logits: torch.Tensor
    boxes: torch.Tensor
    grid: Grid


def quality_focal(logits: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Return |quality - score|^2 times the cross entropy of each score, of the logits' shape; arXiv:2006.04388, eq. 6.

    quality: the IoU a score should tell, 0 for background.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return entropy * (quality - logits.sigmoid()).abs() ** BETA


def giou(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the generalised IoU (N,) of pairs of boxes (N, 4), -1 to 1: IoU - empty share of the hull; 1902.09630.

    A found box turned inside out counts with its negative area, which drives it open again.
    """
    low = torch.maximum(found[:, :2], wanted[:, :2])
    high = torch.minimum(found[:, 2:], wanted[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (found, wanted)]
    union = (areas[0] + areas[1] - overlap).clamp(min=TINY)
    low = torch.minimum(found[:, :2], wanted[:, :2])
    high = torch.maximum(found[:, 2:], wanted[:, 2:])
    around = (high - low).prod(dim=1).clamp(min=TINY)
    return overlap / union - (around - union) / around


def found_in(outputs: Sequence[torch.Tensor], strides: tuple[int, ...]) -> Found:
    """Gather class logits (B, 1, h, w) and distances (B, 4, h, w) of all levels; see `edge.codecs.rtmdet`."""
    levels = len(strides)
    logits, distances = outputs[:levels], outputs[levels:]
    grid = grid_of([(level.shape[2], level.shape[3]) for level in logits], strides)
    grid = Grid(grid.xy.to(logits[0]), grid.strides.to(logits[0]))
    sides = torch.cat([level.flatten(2) for level in distances], dim=2).transpose(1, 2)
    boxes = torch.cat([grid.xy - sides[..., :2], grid.xy + sides[..., 2:]], dim=-1)
    return Found(torch.cat([level.flatten(1) for level in logits], dim=1), boxes, grid)


def detection_losses(found: Found, wanted: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weighted losses of a batch, `quality` and `giou`; wanted: each picture's boxes (N, 4)."""
    qualities, pairs = [], []
    for logits, boxes, people in zip(found.logits, found.boxes, wanted, strict=True):
        given = assign(logits, boxes, found.grid, people)
        qualities.append(given.quality)
        mine = given.owner >= 0
        pairs.append((boxes[mine], people[given.owner[mine]], given.quality[mine]))
    quality = torch.stack(qualities)
    whole = quality.sum().clamp(min=1)
    theirs, truth, weights = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return {
        "quality": quality_focal(found.logits, quality).sum() / whole,
        "giou": GIOU_WEIGHT * ((1 - giou(theirs, truth)) * weights).sum() / whole,
    }
