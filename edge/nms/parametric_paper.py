"""Pose NMS as AlphaPose's paper prints it (arXiv:2211.03375, eq. 16 to 19); `parametric` is what its code does.

Of the poses that resemble a more confident one, the confident one is kept as it is: nothing is merged. Printed eq. 16
eliminates where d <= eta, but eq. 17 to 19 grow with the likeness: here, as in the code, a pose goes where d >= eta.
The paper gives no constants: they are searched for on data, two at a time (`search_constants`).
"""

import itertools
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields

import numpy as np

from edge.types import F32, F64, Indices, Poses

REACH = 0.1  # each side of the box B around a keypoint, as a share of the person's


@dataclass(frozen=True, slots=True)
class PaperConstants:
    """Constants of the distance, as `benchmarks/pose_nms_search.py` found them on drawn people.

    score_width: sigma 1, on scores; distance_width: sigma 2, in square pixels; weight: lambda; similarity: eta divided
    by the number of keypoints, over which eq. 17 and 18 sum.
    """

    score_width: float = 0.392
    distance_width: float = 16.56
    weight: float = 1.19
    similarity: float = 0.9055


def keep_confident(poses: Poses, constants: PaperConstants | None = None) -> Poses:
    """Return `poses` without those that resemble a more confident one, in their order."""
    if len(poses) < 2:
        return poses
    kept = paper_nms(poses.xy, poses.scores, poses.boxes, constants or PaperConstants())
    return poses[np.sort(kept)]


def paper_nms(xy: F32, scores: F32, boxes: F32, constants: PaperConstants) -> Indices:
    """Return the poses to keep, intp (M,), most confident (mean keypoint score) first.

    xy: float32 (N, K, 2) in pixels; scores: float32 (N, K); boxes: float32 (N, 4) xyxy.
    """
    left = np.argsort(-scores.mean(axis=1), kind="stable")
    limit = constants.similarity * xy.shape[1]
    kept = []
    while len(left):
        best, others = left[0], left[1:]
        kept.append(best)
        likeness = pose_likeness(best, others, xy, scores, boxes, constants)
        left = others[likeness < limit]
    return np.array(kept, np.intp)


def pose_likeness(
    reference: int,
    others: Indices,
    xy: F32,
    scores: F32,
    boxes: F32,
    constants: PaperConstants,
) -> F64:
    """Return d(P_i, P_j) of eq. 19 for i `reference` and each j of `others`, float64 (len(others),)."""
    apart = np.abs(xy[others].astype(np.float64) - xy[reference])
    half = REACH * (boxes[reference, 2:] - boxes[reference, :2]) / 2
    inside = (apart <= half).all(axis=2)
    confident = np.tanh(scores.astype(np.float64) / constants.score_width)
    matching = np.where(inside, confident[reference] * confident[others], 0).sum(axis=1)
    near = np.exp(-np.square(apart).sum(axis=2) / constants.distance_width).sum(axis=1)
    likeness: F64 = matching + constants.weight * near
    return likeness


def search_constants(
    score: Callable[[PaperConstants], float],
    start: PaperConstants | None = None,
    *,
    factors: tuple[float, ...] = (0.4, 0.7, 1.0, 1.4, 2.5),
    rounds: int = 6,
) -> PaperConstants:
    """Return the constants of the highest score, such as AP on a validation set, two varied at a time (section 3.4).

    In a round every two of the four are multiplied by each pair of `factors`, the other two held; the search ends after
    a round without a better score, or after `rounds`.
    """
    best = start or PaperConstants()
    highest = score(best)
    places = range(len(fields(PaperConstants)))
    for _ in range(rounds):
        before = highest
        for pair in itertools.combinations(places, 2):
            for tried in _varied(best, pair, factors):
                found = score(tried)
                if found > highest:
                    best, highest = tried, found
        if highest == before:
            break
    return best


def _varied(
    constants: PaperConstants, pair: tuple[int, int], factors: tuple[float, ...]
) -> list[PaperConstants]:
    varied = []
    for first, second in itertools.product(factors, factors):
        values = list(astuple(constants))
        values[pair[0]] *= first
        values[pair[1]] *= second
        varied.append(PaperConstants(*values))
    return varied
