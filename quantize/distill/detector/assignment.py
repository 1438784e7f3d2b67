"""Label assignment of a detector: dynamic soft labels (RTMDet, arXiv:2212.07784, section 3.3).

Costs and matching are those of mmdet 3.3.0's DynamicSoftLabelAssigner, for one class. Tensors only, one picture at a
time, without gradients. Boxes are xyxy.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

SOFT_CENTRE_RADIUS = 3.0  # strides from the box's centre within which a point costs little
CANDIDATES = 13  # a person's best points, whose summed IoU is the number of points it gets
IOU_WEIGHT = 3.0
FOCAL_EXPONENT = 2.0  # of |iou - score| in the class cost
EPSILON = 1e-7


@dataclass(frozen=True, slots=True)
class PointGrid:
    """P points of all levels: xy float32 (P, 2) in input pixels, and the stride of each, (P,)."""

    xy: torch.Tensor
    strides: torch.Tensor


@dataclass(frozen=True, slots=True)
class Assignment:
    """box_index int64 (P,): the box of each point, -1 for none; quality float32 (P,): the IoU with it, or 0."""

    box_index: torch.Tensor
    quality: torch.Tensor


def make_grid(sizes: list[tuple[int, int]], strides: tuple[int, ...]) -> PointGrid:
    """Return the points of levels of those sizes (rows, columns), row by row; a cell's point is its first pixel."""
    points, spans = [], []
    for (rows, columns), stride in zip(sizes, strides, strict=True):
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        points.append(torch.stack([x.flatten(), y.flatten()], dim=1).float() * stride)
        spans.append(torch.full((rows * columns,), float(stride)))
    return PointGrid(torch.cat(points), torch.cat(spans))


@torch.no_grad()
def assign(
    logits: torch.Tensor, predicted: torch.Tensor, grid: PointGrid, targets: torch.Tensor
) -> Assignment:
    """Assign the people of one picture to points.

    logits: (P,); predicted: (P, 4), each point's box; targets: (N, 4), the people. Only points inside a target are
    considered, and each gets one target at most. A person whose every point is cheaper for another gets none.
    """
    box_index = torch.full_like(logits, -1, dtype=torch.int64)
    quality = torch.zeros_like(logits)
    valid = _inside(grid.xy, targets).any(dim=1)
    if not valid.any():
        return Assignment(box_index, quality)
    points = PointGrid(grid.xy[valid], grid.strides[valid])
    iou = pairwise_iou(predicted[valid], targets)
    matched = match_dynamic_k(matching_cost(logits[valid], iou, points, targets), iou)
    positive, best = matched.any(dim=1), matched.int().argmax(dim=1)
    box_index[valid] = torch.where(positive, best, -1)
    quality[valid] = (iou * matched).sum(dim=1)
    return Assignment(box_index, quality)


def matching_cost(
    logits: torch.Tensor, iou: torch.Tensor, grid: PointGrid, targets: torch.Tensor
) -> torch.Tensor:
    """Return the cost of each point for each person, (P, N): class + 3 * -log(IoU) + 10^(distance - 3).

    The class cost is the quality focal loss of the point's score for that IoU; distance is in strides from the centre.
    """
    logits = logits[:, None].expand_as(iou)
    entropy = functional.binary_cross_entropy_with_logits(logits, iou, reduction="none")
    class_cost = entropy * (iou - logits.sigmoid()).abs() ** FOCAL_EXPONENT
    centres = (targets[:, :2] + targets[:, 2:]) / 2
    distance = (grid.xy[:, None] - centres).norm(dim=-1) / grid.strides[:, None]
    centre_cost = 10 ** (distance - SOFT_CENTRE_RADIUS)
    return class_cost - IOU_WEIGHT * (iou + EPSILON).log() + centre_cost


def match_dynamic_k(cost: torch.Tensor, iou: torch.Tensor) -> torch.Tensor:
    """Return the matches, bool (P, N), from costs and IoUs of these shapes.

    A person gets its k cheapest points, where k is the integer part of the sum of its 13 best IoUs, at least one
    (SimOTA, arXiv:2107.08430). A point chosen by several people goes to the one it costs least for, of all people.
    """
    best, _ = iou.topk(min(CANDIDATES, len(iou)), dim=0)
    counts = best.sum(dim=0).int().clamp(min=1)
    matched = torch.zeros_like(cost, dtype=torch.bool)
    for person, count in enumerate(counts.tolist()):
        matched[cost[:, person].topk(count, largest=False).indices, person] = True
    contested = matched.sum(dim=1) > 1
    matched[contested] = functional.one_hot(cost[contested].argmin(dim=1), cost.shape[1]).bool()
    return matched


def pairwise_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Return the intersection over union of every box (P, 4) with every other (N, 4): (P, N)."""
    first = first[:, None]
    low = torch.maximum(first[..., :2], second[:, :2])
    high = torch.minimum(first[..., 2:], second[:, 2:])
    overlap = (high - low).clamp(min=0).prod(dim=-1)
    union = area(first) + area(second) - overlap
    return overlap / union.clamp(min=EPSILON)


def area(boxes: torch.Tensor) -> torch.Tensor:
    """Return areas (...) of boxes (..., 4); 0 for negative sides."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def _inside(xy: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Return which points (P, 2) lie strictly inside which boxes (N, 4): bool (P, N)."""
    xy = xy[:, None]
    return ((xy > boxes[:, :2]) & (xy < boxes[:, 2:])).all(dim=-1)
