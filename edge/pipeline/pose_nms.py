"""Duplicate poses of one person: five ways to leave one, by name."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from edge.nms.overlap import Placed, oks_nms, oks_of_pairs, soft_oks_nms
from edge.nms.parametric import constants_of, merge_people
from edge.nms.parametric_paper import keep_confident
from edge.pipeline.options import TrackOptions
from edge.types import F32, Poses
from runtimes.codec_spec import Codec

PoseNMS = Literal["oks", "soft-oks", "parametric", "parametric-paper", "none"]
# Where poses are merged, weak and duplicate boxes improve the result; elsewhere they would add false positives.
DET_THRS: dict[PoseNMS, float] = {
    "oks": 0.3,
    "soft-oks": 0.3,
    "parametric": 0.1,
    "parametric-paper": 0.1,
    "none": 0.3,
}


def _oks_nms(poses: Poses, options: TrackOptions, _codec: Codec) -> Poses:
    if len(poses) < 2 or not poses.schema.sigmas:
        return poses
    kept = oks_nms(similarities(poses, options), poses.instance_scores(), options.pose_nms_thr)
    return poses[np.sort(kept)]


def _soft_oks_nms(poses: Poses, options: TrackOptions, _codec: Codec) -> Poses:
    if len(poses) < 2 or not poses.schema.sigmas:
        return poses
    kept = soft_oks_nms(similarities(poses, options), poses.instance_scores(), options.pose_nms_thr)
    return poses[np.sort(kept)]


def _parametric_nms(poses: Poses, _options: TrackOptions, codec: Codec) -> Poses:
    return merge_people(poses, constants_of(codec, len(poses.schema)))


def _parametric_paper(poses: Poses, _options: TrackOptions, _codec: Codec) -> Poses:
    return keep_confident(poses)


def _keep_all(poses: Poses, _options: TrackOptions, _codec: Codec) -> Poses:
    return poses


POSE_NMS: dict[PoseNMS, Callable[[Poses, TrackOptions, Codec], Poses]] = {
    "oks": _oks_nms,
    "soft-oks": _soft_oks_nms,
    "parametric": _parametric_nms,
    "parametric-paper": _parametric_paper,
    "none": _keep_all,
}


def similarities(poses: Poses, options: TrackOptions) -> F32:
    """Return the OKS of every two poses, (N, N), over keypoints that are confident in both."""
    placed = _placed(poses, options)
    one, other = np.triu_indices(len(poses))
    matrix = np.zeros((len(poses), len(poses)), np.float32)
    oks = oks_of_pairs(placed, one, placed, other, np.array(poses.schema.sigmas))
    matrix[one, other] = matrix[other, one] = oks
    return matrix


def oks_between(poses: Poses, others: Poses, options: TrackOptions) -> F32:
    """Return the OKS of each of N poses with each of M others, (N, M); 0 for keypoint sets without sigmas."""
    matrix = np.zeros((len(poses), len(others)), np.float32)
    if poses.schema.sigmas and matrix.size:
        one, other = (each.ravel() for each in np.indices(matrix.shape))
        placed = _placed(poses, options), _placed(others, options)
        oks = oks_of_pairs(placed[0], one, placed[1], other, np.array(poses.schema.sigmas))
        matrix[one, other] = oks
    return matrix


def _placed(poses: Poses, options: TrackOptions) -> Placed:
    areas = np.maximum((poses.boxes[:, 2:] - poses.boxes[:, :2]).prod(axis=1), 1e-6)
    return Placed(poses.xy, poses.scores >= options.pose_kpt_thr, areas)
