"""Multi-stage identity matching: the stages in which poses get tracks (AlphaPose, section 4.2)."""

from dataclasses import dataclass

import numpy as np

from edge.pipeline.options import TrackOptions
from edge.pipeline.tracking.assignment import assign
from edge.types import F32, F64, Indices, Mask

MU_EMB = 0.7  # AlphaPose, eq. 21: the largest cosine distance of embeddings
MU_F = 0.5  # AlphaPose, eq. 22: the largest distance of place and shape
CHI2_95 = 5.9915
"""Largest squared Mahalanobis distance of a box centre: 95 % of chi-squared with 2 degrees of freedom (mmdeploy)."""
MOTION_SHARE = (
    0.02  # of the cost of appearance: decides between people who look the same (AlphaPose's code)
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Distances of N poses from T tracks, (N, T) each; infinite where a pair is impossible.

    place: of box and keypoints, 0 to 1; motion: squared Mahalanobis, in shares of its limit; appearance: cosine
    distance of embeddings, None without. strong: bool (N,), poses that choose first; live: bool (T,), tracks that were
    seen in the last frame.
    """

    place: F32
    motion: F64
    appearance: F32 | None
    strong: Mask
    live: Mask

    def __getitem__(self, poses: Mask) -> "Evidence":
        looks = None if self.appearance is None else self.appearance[poses]
        return Evidence(self.place[poses], self.motion[poses], looks, self.strong[poses], self.live)


def match(evidence: Evidence, options: TrackOptions) -> Indices:
    """Return the track of each pose, intp (N,), -1 for none.

    Strong poses choose first and weak ones from what is left of the live tracks (ByteTrack), each by appearance
    (eq. 21), then by place and shape (eq. 22); in the second pass the limits are lower: boxes overlap by
    `track_iou_thr`, or the centre is where motion may have brought it.
    """
    chosen = np.full(len(evidence.strong), -1, np.intp)
    anyone = np.ones_like(evidence.live)
    reachable = evidence.motion <= 1
    near = np.where(evidence.place <= MU_F, evidence.place, np.inf)
    strong, weak = evidence.strong, ~evidence.strong
    if evidence.appearance is not None:
        alike = (1 - MOTION_SHARE) * evidence.appearance + MOTION_SHARE * evidence.motion
        alike = np.where(reachable & (evidence.appearance <= MU_EMB), alike, np.inf)
        _choose(chosen, alike, 1.0, strong, anyone)
    _choose(chosen, near, MU_F, strong, anyone)
    _choose(chosen, near, MU_F, weak, evidence.live)
    lowered = (
        1 - options.track_iou_thr / 2
    )  # IoU of track_iou_thr, and keypoints that are all elsewhere
    _choose(chosen, evidence.place, lowered, strong | weak, anyone)
    _choose(chosen, np.where(reachable, evidence.motion, np.inf), 1.0, strong | weak, anyone)
    return chosen


def _choose(chosen: Indices, costs: F32 | F64, limit: float, poses: Mask, tracks: Mask) -> None:
    """Assign free tracks to poses without one, in place."""
    rows = np.flatnonzero(poses & (chosen < 0))
    if not len(rows):  # the usual case from the second stage on
        return
    free = tracks.copy()
    free[chosen[chosen >= 0]] = False
    columns = np.flatnonzero(free)
    if len(columns):
        found, partners = assign(costs[np.ix_(rows, columns)], limit)
        chosen[rows[found]] = columns[partners]
