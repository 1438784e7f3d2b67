"""Grouping of keypoint candidates into people by their tags (associative embedding, arXiv:1611.05424).

After the authors' grouping as mmpose has it (AssociativeEmbedding 1.x, HeatmapParser 0.x): keypoint by keypoint,
candidates are assigned to the people begun so far at the least total tag distance, counted up to the limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge.codecs.assignment import assign
from edge.nms.overlap import greedy
from edge.types import F32, Indices
from runtimes.codec_spec import AssociativeEmbeddingCodec

# The weight of a whole step of tag distance against a candidate's value, as in mmpose.
TAG_STEP = 100
# Of the distance itself, among assignments that are alike in whole steps: mmpose takes any of them.
TAG_SHARE = 1e-3
# Steps of a pair too far apart to be one person, beyond the limit. mmpose counts its whole distance, and then, to save
# some of it for a stranger, may move everybody else to their neighbour: on a line, both ways cost the same.
FAR_STEPS = 1


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidates of one keypoint, best first: `bins` intp (M, 2) as x, y, `scores` float32 (M,), `tags` (M, L)."""

    bins: Indices
    scores: F32
    tags: F32


@dataclass(frozen=True, slots=True)
class People:
    """People of one input: `bins` intp (N, K, 2), `scores` float32 (N, K), 0 where missing, mean `tags` (N, L)."""

    bins: Indices
    scores: F32
    tags: F32


@dataclass(slots=True)
class _Person:
    """A person in assembly: the bin and score of each keypoint grouped so far, and the tags of all."""

    found: dict[int, tuple[Indices, np.float32]] = field(default_factory=dict)
    tags: list[F32] = field(default_factory=list)


def find_candidates(heatmaps: F32, tags: F32, codec: AssociativeEmbeddingCodec) -> list[Candidates]:
    """Return the candidates of each keypoint; heatmaps (K, h, w), tags (K, L, h, w).

    Of equal bins in one neighbourhood, frequent in int8, only the first is a candidate.
    """
    square = np.ones((codec.nms_kernel, codec.nms_kernel), np.uint8)
    return [
        _candidates(maps, own_tags, square, codec)
        for maps, own_tags in zip(heatmaps, tags, strict=True)
    ]


def _candidates(
    heatmap: F32, tags: F32, square: np.ndarray, codec: AssociativeEmbeddingCodec
) -> Candidates:
    top = (heatmap == cv2.dilate(heatmap, square)) & (heatmap > codec.peak_score)
    y, x = np.nonzero(top)
    order = np.argsort(-heatmap[y, x], kind="stable")
    y, x = y[order], x[order]
    reach = codec.nms_kernel // 2
    near = (abs(y[:, None] - y) <= reach) & (abs(x[:, None] - x) <= reach)
    kept = greedy(near)[: codec.candidates]
    y, x = y[kept], x[kept]
    return Candidates(np.stack([x, y], axis=1), heatmap[y, x], tags[:, y, x].T)


def group_candidates(candidates: Sequence[Candidates], codec: AssociativeEmbeddingCodec) -> People:
    """Return the people among the candidates of K keypoints, in the order in which they were started."""
    people: list[_Person] = []
    for point in codec.keypoint_order or range(len(candidates)):
        people = people[: codec.max_people]
        _join(people, point, candidates[point], codec.tag_distance)
    kept = [
        person for person in people[: codec.max_people] if len(person.found) >= codec.min_keypoints
    ]
    bins = np.zeros((len(kept), len(candidates), 2), np.intp)
    scores = np.zeros((len(kept), len(candidates)), np.float32)
    for row, person in enumerate(kept):
        for point, (place, score) in person.found.items():
            bins[row, point], scores[row, point] = place, score
    means = np.zeros((len(kept), candidates[0].tags.shape[1]), np.float32)
    for row, person in enumerate(kept):
        means[row] = np.mean(person.tags, axis=0)
    return People(bins, scores, means)


def _join(people: list[_Person], point: int, found: Candidates, limit: float) -> None:
    """Add each candidate of a keypoint to the person it is assigned to, or to a new one behind the others."""
    owners = np.full(len(found.scores), -1, np.intp)
    if people and len(owners):
        means = np.array([np.mean(person.tags, axis=0) for person in people])
        away = np.linalg.norm(found.tags[:, None] - means, axis=2)
        steps = np.where(away < limit, np.round(away), np.ceil(limit) + FAR_STEPS)
        costs = steps * TAG_STEP + TAG_SHARE * np.minimum(away, limit)
        owners = assign(costs - found.scores[:, None].astype(np.float64))
        far = away[np.arange(len(owners)), owners] >= limit
        owners[far] = -1
    for index, owner in enumerate(owners):
        if owner < 0:
            people.append(_Person())
        person = people[owner]
        person.found[point] = found.bins[index], found.scores[index]
        person.tags.append(found.tags[index])
