"""Which points of a detector's grids answer for which person: dynamic soft-label assignment, arXiv:2212.07784, 3.3.

Costs and matching are those of mmdet 3.3.0's DynamicSoftLabelAssigner, for one class. Knows tensors only; a picture at
a time, without gradients. Boxes are xyxy.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

CENTRE_RADIUS = 3.0  # strides from the box's centre within which a point costs little
CANDIDATES = 13  # a person's best points, whose summed IoU says how many it gets
IOU_WEIGHT = 3.0
FOCUS = 2.0  # the power of |iou - score| on the class cost
TINY = 1e-7


@dataclass(frozen=True, slots=True)
class Grid:
    """P points of all levels: xy float32 (P, 2) in input pixels, and the stride of each, (P,)."""

    xy: torch.Tensor
    strides: torch.Tensor


@dataclass(frozen=True, slots=True)
class Assignment:
    """owner int64 (P,): which box each point answers for, -1 none; quality float32 (P,): the IoU with it, else 0."""

    owner: torch.Tensor
    quality: torch.Tensor


def grid_of(sizes: list[tuple[int, int]], strides: tuple[int, ...]) -> Grid:
    """Return the points of levels of those sizes (rows, columns), row by row; a cell's point is its first pixel."""
    points, spans = [], []
    for (rows, columns), stride in zip(sizes, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        points.append(torch.stack([x.flatten(), y.flatten()], dim=1).float() * stride)
        spans.append(torch.full((rows * columns,), float(stride)))
    return Grid(torch.cat(points), torch.cat(spans))


@torch.no_grad()
def assign(
    logits: torch.Tensor, found: torch.Tensor, grid: Grid, wanted: torch.Tensor
) -> Assignment:
    """Assign the points of one picture.

    logits: (P,); found: (P, 4), each point's box; wanted: (N, 4), the people. Only points inside some person's box
    take part; none is given to two. A person whose every point is cheaper for another gets none.
    """
    owner = torch.full_like(logits, -1, dtype=torch.int64)
    quality = torch.zeros_like(logits)
    taking_part = _inside(grid.xy, wanted).any(dim=1)
    if not taking_part.any():
        return Assignment(owner, quality)
    points = Grid(grid.xy[taking_part], grid.strides[taking_part])
    iou = pairwise_iou(found[taking_part], wanted)
    chosen = match(cost_of(logits[taking_part], iou, points, wanted), iou)
    each, best = chosen.any(dim=1), chosen.int().argmax(dim=1)
    owner[taking_part] = torch.where(each, best, -1)
    quality[taking_part] = (iou * chosen).sum(dim=1)
    return Assignment(owner, quality)


def cost_of(
    logits: torch.Tensor, iou: torch.Tensor, grid: Grid, wanted: torch.Tensor
) -> torch.Tensor:
    """Return what it costs each point to answer for each person, (P, N): class + 3 * -log(IoU) + 10^(distance - 3).

    The class cost is the quality focal loss of the point's score for that IoU; distance is in strides from the centre.
    """
    logits = logits[:, None].expand_as(iou)
    entropy = functional.binary_cross_entropy_with_logits(logits, iou, reduction="none")
    by_class = entropy * (iou - logits.sigmoid()).abs() ** FOCUS
    centres = (wanted[:, :2] + wanted[:, 2:]) / 2
    away = (grid.xy[:, None] - centres).norm(dim=-1) / grid.strides[:, None]
    by_place = 10 ** (away - CENTRE_RADIUS)
    return by_class - IOU_WEIGHT * (iou + TINY).log() + by_place


def match(cost: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Return who is chosen for whom, bool (P, N), from costs and IoUs of these shapes.

    A person gets its cheapest points, as many as the whole part of the sum of its 13 best IoUs, at least one (SimOTA,
    arXiv:2107.08430). A point chosen by several goes to whoever it is cheapest for, of all people.
    """
    best, _ = iou.topk(min(CANDIDATES, len(iou)), dim=0)
    counts = best.sum(dim=0).int().clamp(min=1)
    chosen = torch.zeros_like(cost, dtype=torch.bool)
    for person, count in enumerate(counts.tolist()):
        chosen[cost[:, person].topk(count, largest=False).indices, person] = True
    torn = chosen.sum(dim=1) > 1
    chosen[torn] = functional.one_hot(cost[torn].argmin(dim=1), cost.shape[1]).bool()
    return chosen


def pairwise_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the intersection over union of every box (P, 4) with every other (N, 4): (P, N)."""
    first = first[:, None]
    low = torch.maximum(first[..., :2], second[:, :2])
    high = torch.minimum(first[..., 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    union = area(first) + area(second) - shared
    return shared / union.clamp(min=TINY)


def area(boxes: torch.Tensor) -> torch.Tensor:
    """Return areas (...) of boxes (..., 4); one turned inside out has none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def _inside(xy: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Tell which points (P, 2) lie strictly inside which boxes (N, 4): bool (P, N)."""
    xy = xy[:, None]
    return ((xy > boxes[:, :2]) & (xy < boxes[:, 2:])).all(dim=-1)
