"""Parametric pose NMS: the poses of one person are merged into one (AlphaPose, arXiv:2211.03375).

Follows AlphaPose's code where it departs from its paper, since its constants were tuned with it (`parametric_paper` is
the paper's); comments name the departures. Arithmetic is float32, as there.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.types import F32, Indices, Mask, Poses
from runtimes.codec_spec import Codec, IntegralCodec

MATCH_LIMIT = (
    7.0  # pixels within which two keypoints match at most, whatever the size of the person
)
MERGE_LIMIT = 15.0  # pixels within which a keypoint contributes to the merged one
NEAR = 1.0  # pixels within which scores are compared
NO_SCORE = 1e-5  # replaces a score of 0, to avoid dividing by it
NO_REACH = 1e-6  # likewise the reach of a box without extent
# Whole-body sets (133 and 136 keypoints) end with 68 face and 42 hand keypoints.
WHOLE_BODY = (133, 136)
FACE, HANDS = slice(-110, -42), slice(-42, None)
BODY = slice(0, -110)
# Matches are counted by the layout of 136 keypoints, from the front: with 133 the parts are off by three.
COUNTED_BODY, COUNTED_FACE, COUNTED_HANDS = slice(0, 26), slice(26, 94), slice(94, None)
FACE_REACH, HANDS_REACH = 1.9, 0.55
FACE_SCORES, HANDS_SCORES = 1.0, 0.1
FACE_DISTANCES, HANDS_DISTANCES = 1.0, 1.5


@dataclass(frozen=True, slots=True)
class Constants:
    """Constants of the criterion, as AlphaPose tuned them on COCO.

    alpha: the reference distance, as a share of the box's longer side; mu: weight of the distance term; score_width,
    distance_width: scales of the score term (tanh) and of the distance term (pixels); similarity, matches: two poses
    are one person above the one or from the other on; min_score: a person whose best keypoint is below it is dropped.
    """

    alpha: float = 0.1
    mu: float = 1.7
    score_width: float = 1.0
    distance_width: float = 2.65
    similarity: float = 22.48
    matches: float = 5.0
    min_score: float = 0.3


HEATMAP = Constants()
INTEGRAL_WHOLE_BODY = Constants(
    alpha=0.15, mu=1.65, distance_width=8.0, similarity=3.6, matches=3.0, min_score=0.01
)


@dataclass(frozen=True, slots=True)
class Merged:
    """Merged people, best mean keypoint score first.

    picks intp (M,): the pose each was grown from; members: all poses merged; xy float32 (M, K, 2), scores (M, K).
    """

    picks: Indices
    members: tuple[Indices, ...]
    xy: F32
    scores: F32


def constants_of(codec: Codec, keypoints: int) -> Constants:
    """Return AlphaPose's constants for a model: whole bodies by integral regression have their own."""
    whole = keypoints in WHOLE_BODY and isinstance(codec, IntegralCodec)
    return INTEGRAL_WHOLE_BODY if whole else HEATMAP


def merge_people(poses: Poses, constants: Constants = HEATMAP) -> Poses:
    """Return `poses` with those of each person merged, in their order; box and id are the best pose's."""
    if not len(poses):
        return poses
    merged = parametric_nms(poses.xy, poses.scores, poses.boxes, constants)
    order = np.argsort(merged.picks)
    rows = merged.picks[order]
    boxes, box_scores, ids = poses.boxes[rows], poses.box_scores[rows], poses.ids[rows]
    return Poses(merged.xy[order], merged.scores[order], boxes, box_scores, ids, poses.schema)


def parametric_nms(xy: F32, scores: F32, boxes: F32, constants: Constants = HEATMAP) -> Merged:
    """Merge the poses of each person.

    xy: float32 (N, K, 2) in pixels; scores: float32 (N, K); boxes: float32 (N, 4) xyxy. K = 133 and 136 are whole
    bodies, any other K a body. Inputs are not modified.
    """
    scores = np.where(scores == 0, np.float32(NO_SCORE), scores)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    reaches = np.maximum(np.float32(constants.alpha) * sides, np.float32(NO_REACH))
    same = _same_whole_body if xy.shape[1] in WHOLE_BODY else _same_body
    picks, members, people, confidences = [], [], [], []
    for pick, rows in _clusters(xy, scores, reaches, constants, same):
        person, sure = _merge(xy[pick], xy[rows], scores[rows], reaches[pick])
        if min(scores[pick].max(), sure.max()) >= constants.min_score:
            picks.append(pick)
            members.append(rows)
            people.append(person)
            confidences.append(sure)
    points = xy.shape[1]
    return Merged(
        picks=np.array(picks, np.intp),
        members=tuple(members),
        xy=np.array(people, np.float32).reshape(-1, points, 2),
        scores=np.array(confidences, np.float32).reshape(-1, points),
    )


# The criterion: which of poses (N, K, 2), scores (N, K), show the person of the pose at an index with that reach.
Same = Callable[[int, F32, F32, np.float32, Constants], Mask]


def _clusters(
    xy: F32, scores: F32, reaches: F32, constants: Constants, same: Same
) -> list[tuple[int, Indices]]:
    """Take the best remaining pose and all poses of the same person with it, until none remains."""
    means = scores.mean(axis=1)
    left = np.arange(len(xy), dtype=np.intp)
    clusters = []
    while len(left):
        best = int(means[left].argmax())
        pick = int(left[best])
        alike = same(best, xy[left], scores[left], reaches[pick], constants)
        if not alike.any():
            alike[best] = True
        clusters.append((pick, left[alike]))
        # A whole body may fail the criterion with itself: then the pick remains and is picked again.
        left = left[~alike]
    return clusters


def _same_body(best: int, xy: F32, scores: F32, reach: np.float32, constants: Constants) -> Mask:
    """Decide by summed similarity, or by the number of matching keypoints."""
    distances = _distances(xy[best], xy)
    near = distances <= NEAR
    agreement = np.where(near, _score_terms(best, scores, constants), 0)
    closeness = np.exp(-distances / np.float32(constants.distance_width))
    similarity = agreement.sum(axis=1) + np.float32(constants.mu) * closeness.sum(axis=1)
    matches = (distances / np.minimum(reach, np.float32(MATCH_LIMIT)) <= 1).sum(axis=1)
    alike: Mask = (similarity > constants.similarity) | (matches >= constants.matches)
    return alike


def _same_whole_body(
    best: int, xy: F32, scores: F32, reach: np.float32, constants: Constants
) -> Mask:
    """Decide likewise with part means: scores count where they are low, distances only where they are not."""
    distances = _distances(xy[best], xy)
    weak = scores < constants.min_score
    agreement = np.where((distances <= NEAR) & weak, _score_terms(best, scores, constants), 0)
    widths = np.full(xy.shape[1], constants.distance_width, np.float32)
    widths[FACE] *= FACE_REACH
    widths[HANDS] *= HANDS_REACH
    closeness = np.where(weak, 0, np.exp(-distances / widths))
    similarity = _part_means(agreement, FACE_SCORES, HANDS_SCORES) + np.float32(
        constants.mu
    ) * _part_means(closeness, FACE_DISTANCES, HANDS_DISTANCES)
    matches = _whole_body_matches(best, distances, scores, reach, constants)
    alike: Mask = (similarity > constants.similarity) | (matches >= constants.matches)
    return alike


def _whole_body_matches(
    best: int, distances: F32, scores: F32, reach: np.float32, constants: Constants
) -> F32:
    """Count the matching keypoints (N,), relative to the confident keypoints of pose `best`.

    As in AlphaPose, the confident ones count once a pose and coordinate, so that more poses mean fewer matches.
    """
    sure = int((scores[best] > constants.min_score / 2).sum())
    if not sure:
        return np.zeros(len(distances), np.float32)
    relative = distances / np.minimum(reach, np.float32(MATCH_LIMIT))
    count = (
        (relative[:, COUNTED_BODY] <= 1).sum(axis=1)
        + (relative[:, COUNTED_FACE] <= FACE_REACH).sum(axis=1)
        + (relative[:, COUNTED_HANDS] <= HANDS_REACH).sum(axis=1)
    )
    times = np.float32(2 * len(distances) * sure)
    matches: F32 = count.astype(np.float32) / times / np.float32(2) * np.float32(scores.shape[1])
    return matches


def _merge(pick: F32, xy: F32, scores: F32, reach: np.float32) -> tuple[F32, F32]:
    """Return the score-weighted mean of poses (M, K, 2) and its scores, without keypoints far from the pick's."""
    weights = scores * (_distances(pick, xy) <= np.minimum(reach, np.float32(MERGE_LIMIT)))
    total = weights.sum(axis=0)
    # A whole body's pick may be outside its own cluster: without any near keypoint its own stays, with score 0.
    shares = weights / np.where(total == 0, 1, total)
    merged: F32 = np.where((total == 0)[:, None], pick, (xy * shares[..., None]).sum(axis=0))
    return merged, (weights * shares).sum(axis=0)


def _distances(pose: F32, xy: F32) -> F32:
    """Return the distances (N, K) in pixels of keypoints of poses (N, K, 2) from those of `pose` (K, 2)."""
    distances: F32 = np.sqrt(np.square(pose - xy).sum(axis=2))
    return distances


def _score_terms(best: int, scores: F32, constants: Constants) -> F32:
    saturated = np.tanh(scores / np.float32(constants.score_width))
    terms: F32 = saturated[best] * saturated
    return terms


def _part_means(terms: F32, face: float, hands: float) -> F32:
    means: F32 = (
        terms[:, BODY].mean(axis=1)
        + terms[:, FACE].mean(axis=1) * np.float32(face)
        + terms[:, HANDS].mean(axis=1) * np.float32(hands)
    )
    return means
