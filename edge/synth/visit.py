"""Visitors of a clip: each walks in at one side, mostly stops to wave or squat, leaves, and may come back later.

The clip has two acts with an empty frame before, between and after them. Knows no pixels but the frame's size.
"""

from dataclasses import dataclass

import numpy as np

from edge.synth.motion import MOTIONS, Motion, idle, walk
from edge.synth.wardrobe import Look, sample_look
from edge.types import F32

STRIDE_SHARE = 0.82
"""Length of a stride (two steps, hips at 25 degrees each way) as a share of the stature."""
ACTS = ((0.08, 0.46), (0.58, 0.96))
"""Shares of the clip in which people may be in the frame."""
_MARGIN_M = 0.9
"""Distance from the frame's edge at which nothing of a person is seen, outstretched arms included."""
_TURN_S = 0.4
_STOPPED: tuple[Motion, ...] = ("wave", "squat", "jump", "idle")


@dataclass(frozen=True, slots=True)
class Visit:
    """One way through the frame: from -`reach_m` to `reach_m` if `way` is 1, the other way if -1.

    Between the two halves of the walk the visitor stops for `stop_s`, turned by `yaw_deg`, at `stop_share` of the way.
    """

    start_s: float
    end_s: float
    way: int
    reach_m: float
    stop_share: float
    stop_s: float
    yaw_deg: float
    motion: Motion
    cycle_s: float

    def share(self, time_s: float) -> float:
        """Return the share of the way that lies behind the visitor at a time."""
        walking_s = self.end_s - self.start_s - self.stop_s
        first_s = walking_s * self.stop_share
        past_s = time_s - self.start_s
        walked_s = min(past_s, first_s) + max(0.0, past_s - first_s - self.stop_s)
        return walked_s / walking_s

    def stopped(self, time_s: float) -> float:
        """Return 1 where the visitor stands, 0 where it walks, and between while it turns."""
        if not self.stop_s:
            return 0.0
        first_s = (self.end_s - self.start_s - self.stop_s) * self.stop_share
        past_s = time_s - self.start_s - first_s
        share = float(np.clip(min(past_s, self.stop_s - past_s) / _TURN_S, 0, 1))
        return share * share * (3 - 2 * share)


@dataclass(frozen=True, slots=True)
class Visitor:
    """One person and its visits, in order; `depth_m` in front of the camera."""

    look: Look
    depth_m: float
    phase: float
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class Posture:
    """A person at one moment: metres right of the camera, direction, joint angles float32 (24,), height of the feet."""

    x_m: float
    yaw_deg: float
    angles: F32
    lift_m: float


def sample_visitors(
    rng: np.random.Generator, view_m: float, length_s: float, people: int
) -> tuple[Visitor, ...]:
    """Draw the visitors of a clip; view_m: half the width of the view at a depth of 1 m.

    The first is in both acts; of the others seven in ten are. Neighbours in the list come from opposite sides.
    """
    visitors = []
    for index in range(people):
        look, depth_m = sample_look(rng), float(rng.uniform(2.6, 6.0))
        both = index == 0 or rng.random() < 0.7
        acts = ACTS if both else (ACTS[int(rng.integers(len(ACTS)))],)
        way = 1 if (index + int(rng.random() < 0.2)) % 2 else -1
        reach_m = view_m * depth_m + _MARGIN_M
        visits = []
        for first, last in acts:
            visits.append(_sample_visit(rng, (first * length_s, last * length_s), way, reach_m))
            way = -way  # back the way the person left
        visitors.append(Visitor(look, depth_m, float(rng.random()), tuple(visits)))
    return tuple(visitors)


def posture(visitor: Visitor, time_s: float) -> Posture | None:
    """Return the visitor's posture at a time; None between visits."""
    for visit in visitor.visits:
        if visit.start_s <= time_s <= visit.end_s:
            return _posture(visitor, visit, time_s)
    return None


def _sample_visit(
    rng: np.random.Generator, act_s: tuple[float, float], way: int, reach_m: float
) -> Visit:
    length_s = (act_s[1] - act_s[0]) * rng.uniform(0.6, 0.95)
    start_s = act_s[0] + (act_s[1] - act_s[0] - length_s) * rng.random()
    stop_s = length_s * rng.uniform(0.2, 0.4) if rng.random() < 0.6 else 0.0
    return Visit(
        start_s=float(start_s),
        end_s=float(start_s + length_s),
        way=way,
        reach_m=reach_m,
        stop_share=float(rng.uniform(0.35, 0.65)),
        stop_s=float(stop_s),
        yaw_deg=float(rng.normal(0, 30)),
        motion=_STOPPED[int(rng.integers(len(_STOPPED)))],
        cycle_s=float(rng.uniform(1.8, 2.6)),
    )


def _posture(visitor: Visitor, visit: Visit, time_s: float) -> Posture:
    share, stopped = visit.share(time_s), visit.stopped(time_s)
    walked_m = 2 * visit.reach_m * share
    stride_m = STRIDE_SHARE * visitor.look.body.stature_m
    angles, lift_m = walk(visitor.phase + walked_m / stride_m)
    if stopped:
        still, hop_m = MOTIONS[visit.motion]((time_s - visit.start_s) / visit.cycle_s % 1)
        standing = idle(0.3 * time_s)[0]
        still = standing + np.float32(stopped) * (still - standing)
        angles = angles + np.float32(stopped) * (still - angles)
        lift_m = (1 - stopped) * lift_m + stopped * hop_m
    yaw_deg = (1 - stopped) * 90.0 * visit.way + stopped * visit.yaw_deg
    return Posture(visit.way * (walked_m - visit.reach_m), yaw_deg, angles, lift_m)
