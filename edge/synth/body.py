"""Articulated body: proportions, joint angles with limits, and forward kinematics in metres.

Body space: x to the person's left, y up, z where the person faces; the lowest foot is at y = 0. Knows no pixels, no
clothes, no cameras. Segment lengths follow Drillis and Contini (1966), as shares of the stature.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from edge.synth.linear import f32, turn_x, turn_y, turn_z
from edge.types import F32

LIMITS_DEG: dict[str, tuple[float, float]] = {
    "spine_pitch": (-15, 70),
    "spine_roll": (-25, 25),
    "spine_twist": (-35, 35),
    "neck_pitch": (-35, 40),
    "neck_roll": (-25, 25),
    "neck_yaw": (-65, 65),
    "shoulder_flex": (-50, 175),
    "shoulder_abduct": (-12, 172),
    "shoulder_twist": (-90, 95),
    "elbow": (0, 145),
    "hip_flex": (-25, 115),
    "hip_abduct": (-8, 45),
    "hip_twist": (-25, 40),
    "knee": (0, 140),
    "ankle": (-35, 45),
}
"""Lowest and highest angle of each degree of freedom; those of limbs hold for both sides."""

AXIAL = tuple(name for name in LIMITS_DEG if name.startswith(("spine", "neck")))
LIMB = tuple(name for name in LIMITS_DEG if name not in AXIAL)
DOF = AXIAL + tuple(f"{side}_{name}" for side in ("l", "r") for name in LIMB)
_INDEX = {name: index for index, name in enumerate(DOF)}
_LOW, _HIGH = f32([LIMITS_DEG[name.removeprefix("l_").removeprefix("r_")] for name in DOF]).T


class Joint(IntEnum):
    """Row of each point in `Skeleton.points`; right-side rows follow their left ones."""

    PELVIS = 0
    CHEST = 1
    HEAD = 2
    L_SHOULDER = 3
    R_SHOULDER = 4
    L_ELBOW = 5
    R_ELBOW = 6
    L_WRIST = 7
    R_WRIST = 8
    L_FINGERS = 9
    R_FINGERS = 10
    L_HIP = 11
    R_HIP = 12
    L_KNEE = 13
    R_KNEE = 14
    L_ANKLE = 15
    R_ANKLE = 16
    L_HEEL = 17
    R_HEEL = 18
    L_TOES = 19
    R_TOES = 20


@dataclass(frozen=True, slots=True)
class Proportions:
    """Stature in metres; the rest are factors on the average adult."""

    stature_m: float
    girth: float
    head: float
    legs: float
    arms: float
    shoulders: float
    hips: float


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Points float32 (21, 3) in metres and the axes (rows: left, up, forward) of pelvis, chest and head, (3, 3)."""

    points: F32
    pelvis_axes: F32
    chest_axes: F32
    head_axes: F32


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """Draw a body: mostly adults, sometimes a child (shorter, larger head, shorter legs)."""
    child = rng.random() < 0.15
    stature = rng.uniform(1.05, 1.4) if child else rng.normal(1.71, 0.09)
    slim = rng.uniform()
    return Proportions(
        stature_m=float(np.clip(stature, 1.0, 2.0)),
        girth=float(rng.uniform(0.86, 1.02) if slim < 0.6 else rng.uniform(1.02, 1.38)),
        head=float(rng.uniform(1.2, 1.35) if child else rng.uniform(0.97, 1.1)),
        legs=float(rng.uniform(0.9, 0.96) if child else rng.uniform(0.95, 1.04)),
        arms=float(rng.uniform(0.95, 1.05)),
        shoulders=float(rng.uniform(0.9, 1.12)),
        hips=float(rng.uniform(0.9, 1.15)),
    )


def pose_angles(degrees: Mapping[str, float]) -> F32:
    """Return joint angles in degrees, float32 (24,), in the order of DOF and within LIMITS_DEG.

    A limb's name without `l_` or `r_` sets both sides; the sided name wins.
    """
    angles = np.zeros(len(DOF), np.float32)
    for name, value in degrees.items():
        if name in _INDEX:
            continue
        angles[_INDEX[f"l_{name}"]] = angles[_INDEX[f"r_{name}"]] = value
    for name, value in degrees.items():
        if name in _INDEX:
            angles[_INDEX[name]] = value
    return limited(angles)


def limited(angles: F32) -> F32:
    """Return the angles clipped to LIMITS_DEG."""
    clipped: F32 = np.clip(angles, _LOW, _HIGH)
    return clipped


def mirrored(angles: F32) -> F32:
    """Return the mirrored pose: sides swapped, rolls, twists and yaws negated."""
    axial = angles[: len(AXIAL)].copy()
    for index, name in enumerate(AXIAL):
        if not name.endswith("pitch"):
            axial[index] *= -1
    left, right = np.split(angles[len(AXIAL) :], 2)
    return np.concatenate([axial, right, left])


def solve(body: Proportions, angles: F32) -> Skeleton:
    """Return the skeleton of a body in a pose (angles in degrees, in the order of DOF)."""
    degrees = dict(zip(DOF, angles.tolist(), strict=True))
    spine = _turned(degrees, ("spine_twist", "spine_roll", "spine_pitch"))
    neck = _turned(degrees, ("neck_yaw", "neck_roll", "neck_pitch"))
    head = spine @ neck
    height = body.stature_m
    points = np.zeros((len(Joint), 3), np.float32)
    points[Joint.CHEST] = spine @ f32([0, 0.292 * height, 0])
    points[Joint.HEAD] = (
        points[Joint.CHEST]
        + spine @ f32([0, 0.026 * height, 0.008 * height])
        + head @ f32([0, 0.074 * height * body.head, 0.014 * height])
    )
    for right, side in enumerate(("l", "r")):
        _solve_arm(points, body, degrees, side, right, spine)
        _solve_leg(points, body, degrees, side, right)
    points[:, 1] -= points[Joint.L_HEEL :, 1].min() - 0.018 * height
    return Skeleton(points, np.eye(3, dtype=np.float32), spine.T.copy(), head.T.copy())


def _turned(degrees: Mapping[str, float], names: tuple[str, str, str]) -> F32:
    """Return the rotation by the named angles about y, z and x, applied from the last to the first."""
    about_y, about_z, about_x = (degrees[name] for name in names)
    return f32(turn_y(about_y) @ turn_z(about_z) @ turn_x(about_x))


def _solve_arm(
    points: F32,
    body: Proportions,
    degrees: Mapping[str, float],
    side: str,
    right: int,
    spine: F32,
) -> None:
    sign = 1 - 2 * right
    height = body.stature_m
    flex, abduct = degrees[f"{side}_shoulder_flex"], degrees[f"{side}_shoulder_abduct"]
    # The collarbone follows a raised arm: up and a little inward.
    raised = max(0.0, max(flex, abduct) - 40) / 130
    socket = [
        sign * height * (0.1 * body.shoulders - 0.012 * raised),
        (0.258 + 0.026 * raised) * height,
        0,
    ]
    points[Joint.L_SHOULDER + right] = spine @ f32(socket)
    upper = (
        spine
        @ turn_z(sign * abduct)
        @ turn_x(-flex)
        @ turn_y(sign * degrees[f"{side}_shoulder_twist"])
    )
    fore = upper @ turn_x(-degrees[f"{side}_elbow"])
    chain = (
        (Joint.L_SHOULDER, Joint.L_ELBOW, upper, 0.172),
        (Joint.L_ELBOW, Joint.L_WRIST, fore, 0.143),
        (Joint.L_WRIST, Joint.L_FINGERS, fore, 0.088),
    )
    for start, end, turn, share in chain:
        bone = turn @ f32([0, -share * height * body.arms, 0])
        points[end + right] = points[start + right] + bone


def _solve_leg(
    points: F32, body: Proportions, degrees: Mapping[str, float], side: str, right: int
) -> None:
    sign = 1 - 2 * right
    height = body.stature_m
    points[Joint.L_HIP + right] = f32([sign * 0.052 * height * body.hips, -0.008 * height, 0])
    thigh = (
        turn_z(sign * degrees[f"{side}_hip_abduct"])
        @ turn_x(-degrees[f"{side}_hip_flex"])
        @ turn_y(sign * degrees[f"{side}_hip_twist"])
    )
    shank = thigh @ turn_x(degrees[f"{side}_knee"])
    foot = shank @ turn_x(degrees[f"{side}_ankle"]) @ turn_y(sign * 9)
    leg = height * body.legs
    offsets = (
        (Joint.L_HIP, Joint.L_KNEE, thigh, [0, -0.245 * leg, 0]),
        (Joint.L_KNEE, Joint.L_ANKLE, shank, [0, -0.243 * leg, 0]),
        (Joint.L_ANKLE, Joint.L_HEEL, foot, [0, -0.022 * height, -0.022 * height]),
        (Joint.L_ANKLE, Joint.L_TOES, foot, [0, -0.026 * height, 0.098 * height]),
    )
    for start, end, turn, bone in offsets:
        points[end + right] = points[start + right] + turn @ f32(bone)
