"""Losses of a detector: quality focal loss of every point, GIoU loss of the points assigned to a person.

Weights and normalisers are those of mmdet 3.3.0's RTMDetHead: both losses are sums over the batch, divided by the
summed quality of the assigned points. Boxes are xyxy in input pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

from quantize.distill.detector.assignment import PointGrid, assign, make_grid

FOCAL_EXPONENT = 2.0
GIOU_WEIGHT = 2.0
EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class Predictions:
    """A batch's outputs in one row per picture: logits (B, P), boxes (B, P, 4), and the grid of the P points."""

    logits: torch.Tensor
    boxes: torch.Tensor
    grid: PointGrid


def quality_focal_loss(logits: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Return |quality - score|^2 times the cross entropy of each score, of the logits' shape; arXiv:2006.04388, eq. 6.

    quality: the IoU that a score should predict, 0 for background.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return entropy * (quality - logits.sigmoid()).abs() ** FOCAL_EXPONENT


def giou(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the generalised IoU (N,) of pairs of boxes (N, 4), -1 to 1; arXiv:1902.09630.

    A predicted box with negative sides counts with its negative area, which drives it open again.
    """
    low = torch.maximum(predicted[:, :2], target[:, :2])
    high = torch.minimum(predicted[:, 2:], target[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (predicted, target)]
    union = (areas[0] + areas[1] - overlap).clamp(min=EPSILON)
    low = torch.minimum(predicted[:, :2], target[:, :2])
    high = torch.maximum(predicted[:, 2:], target[:, 2:])
    hull = (high - low).prod(dim=1).clamp(min=EPSILON)
    return overlap / union - (hull - union) / hull


def gather_predictions(outputs: Sequence[torch.Tensor], strides: tuple[int, ...]) -> Predictions:
    """Join class logits (B, 1, h, w) and distances (B, 4, h, w) of all levels; see `edge.codecs.rtmdet`."""
    levels = len(strides)
    logits, distances = outputs[:levels], outputs[levels:]
    grid = make_grid([(level.shape[2], level.shape[3]) for level in logits], strides)
    grid = PointGrid(grid.xy.to(logits[0]), grid.strides.to(logits[0]))
    sides = torch.cat([level.flatten(2) for level in distances], dim=2).transpose(1, 2)
    boxes = torch.cat([grid.xy - sides[..., :2], grid.xy + sides[..., 2:]], dim=-1)
    return Predictions(torch.cat([level.flatten(1) for level in logits], dim=1), boxes, grid)


def detection_losses(
    predictions: Predictions,
    targets: Sequence[torch.Tensor],
    mean_over_processes: Callable[[torch.Tensor], torch.Tensor] = lambda total: total,
) -> dict[str, torch.Tensor]:
    """Return the weighted losses of a batch, `quality` and `giou`; targets: each picture's boxes (N, 4).

    mean_over_processes: applied to the normaliser, so that the mean of the processes' losses is the whole batch's.
    """
    qualities, pairs = [], []
    for logits, boxes, people in zip(predictions.logits, predictions.boxes, targets, strict=True):
        assigned = assign(logits, boxes, predictions.grid, people)
        qualities.append(assigned.quality)
        positive = assigned.box_index >= 0
        pairs.append(
            (boxes[positive], people[assigned.box_index[positive]], assigned.quality[positive])
        )
    quality = torch.stack(qualities)
    normaliser = mean_over_processes(quality.sum()).clamp(min=1)
    predicted, target, weights = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    return {
        "quality": quality_focal_loss(predictions.logits, quality).sum() / normaliser,
        "giou": GIOU_WEIGHT * ((1 - giou(predicted, target)) * weights).sum() / normaliser,
    }
