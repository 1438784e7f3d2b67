"""Library of poses: still ones by name, and motions as functions of a phase in cycles.

A pose is float32 (24,) joint angles in degrees in the order of `body.DOF`. Knows no pixels and no time.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from edge.synth.body import DOF, limited, mirrored, pose_angles
from edge.types import F32

Motion = Literal["walk", "wave", "squat", "jump", "idle"]

STILLS: dict[str, dict[str, float]] = {
    "stand": {"shoulder_abduct": 8, "elbow": 10, "hip_abduct": 4},
    "relaxed": {"shoulder_abduct": 7, "elbow": 14, "l_hip_flex": 12, "l_knee": 20, "spine_roll": 4},
    "akimbo": {"shoulder_abduct": 42, "shoulder_twist": -62, "elbow": 92, "hip_abduct": 8},
    "one_akimbo": {
        "l_shoulder_abduct": 42,
        "l_shoulder_twist": -62,
        "l_elbow": 92,
        "r_shoulder_abduct": 9,
        "r_elbow": 12,
        "hip_abduct": 6,
    },
    "arms_up": {"shoulder_abduct": 150, "elbow": 18, "hip_abduct": 8},
    "cheer": {"shoulder_abduct": 118, "shoulder_twist": 85, "elbow": 55, "hip_abduct": 12},
    "arms_wide": {"shoulder_abduct": 86, "elbow": 6, "hip_abduct": 10},
    "folded": {"shoulder_flex": 32, "shoulder_abduct": 8, "shoulder_twist": -72, "elbow": 100},
    "point": {"l_shoulder_flex": 82, "l_elbow": 4, "r_shoulder_abduct": 8, "r_elbow": 15},
    "side_point": {"l_shoulder_abduct": 92, "l_elbow": 3, "r_shoulder_abduct": 9, "r_elbow": 20},
    "phone": {
        "l_shoulder_flex": 25,
        "l_shoulder_abduct": 32,
        "l_shoulder_twist": 28,
        "l_elbow": 138,
        "r_shoulder_abduct": 8,
        "neck_roll": -8,
    },
    "reading": {
        "shoulder_flex": 28,
        "shoulder_twist": -25,
        "elbow": 92,
        "neck_pitch": 26,
    },
    "lunge": {
        "l_hip_flex": 72,
        "l_knee": 84,
        "l_ankle": -14,
        "r_hip_flex": -18,
        "r_knee": 42,
        "shoulder_abduct": 14,
        "elbow": 35,
    },
    "run": {
        "l_hip_flex": 62,
        "l_knee": 78,
        "r_hip_flex": -20,
        "r_knee": 40,
        "l_shoulder_flex": -40,
        "r_shoulder_flex": 42,
        "elbow": 88,
        "spine_pitch": 10,
    },
    "kick": {
        "l_hip_flex": 72,
        "l_knee": 16,
        "r_knee": 10,
        "l_shoulder_flex": -25,
        "shoulder_abduct": 42,
        "elbow": 22,
        "spine_pitch": -6,
    },
    "reach": {"l_shoulder_flex": 150, "l_elbow": 10, "r_shoulder_abduct": 12, "r_elbow": 12},
    "crouch": {
        "hip_flex": 88,
        "knee": 104,
        "ankle": -18,
        "hip_abduct": 14,
        "spine_pitch": 32,
        "shoulder_flex": 62,
        "elbow": 60,
    },
    "bow": {"spine_pitch": 52, "shoulder_flex": 50, "elbow": 12, "hip_flex": 8, "knee": 8},
    "tree": {
        "l_hip_flex": 58,
        "l_hip_abduct": 40,
        "l_hip_twist": 40,
        "l_knee": 122,
        "shoulder_abduct": 160,
        "elbow": 25,
    },
    "throw": {
        "l_shoulder_abduct": 98,
        "l_shoulder_twist": 88,
        "l_elbow": 88,
        "r_shoulder_flex": 55,
        "r_elbow": 25,
        "l_hip_flex": -12,
        "r_hip_flex": 30,
        "r_knee": 18,
        "spine_twist": 18,
    },
}
"""Still poses by name, in degrees; angles that are not listed are 0."""


def _bump(phase: float) -> float:
    """Return a raised cosine: 0 at whole phases, 1 half-way."""
    return 0.5 - 0.5 * float(np.cos(2 * np.pi * phase))


def walk(phase: float) -> tuple[F32, float]:
    """Walk: one stride (two steps) a cycle, always with a foot on the floor."""
    angles: dict[str, float] = {"shoulder_abduct": 7, "spine_pitch": 4}
    for side, offset in (("l", 0.0), ("r", 0.5)):
        turn = 2 * np.pi * (phase + offset)
        hip = 7 + 25 * np.sin(turn)
        # The knee bends most just before the leg swings past the other one.
        knee = 7 + 52 * max(0.0, float(np.cos(turn + 0.5))) ** 1.5
        angles[f"{side}_hip_flex"] = float(hip)
        angles[f"{side}_knee"] = float(knee)
        angles[f"{side}_ankle"] = float(np.clip(0.75 * (hip - knee), -15, 25))
        angles[f"{side}_shoulder_flex"] = float(2 - 24 * np.sin(turn))
        angles[f"{side}_elbow"] = float(22 - 12 * np.sin(turn))
    angles["spine_twist"] = float(6 * np.sin(2 * np.pi * phase))
    return pose_angles(angles), 0.0


def wave(phase: float) -> tuple[F32, float]:
    """Wave: raise the left arm, wave three times, lower it."""
    raised = min(1.0, 2.2 * _bump(phase))
    swing = float(np.sin(2 * np.pi * 3 * phase))
    return pose_angles(
        {
            "l_shoulder_abduct": 8 + 84 * raised,
            "l_shoulder_twist": 84 * raised,
            "l_elbow": 12 + raised * (58 + 26 * swing),
            "r_shoulder_abduct": 8,
            "r_elbow": 14,
            "hip_abduct": 4,
        }
    ), 0.0


def squat(phase: float) -> tuple[F32, float]:
    """Squat: down at half a cycle, up at a whole one; arms forward for balance."""
    depth = _bump(phase)
    return pose_angles(
        {
            "hip_flex": 102 * depth,
            "knee": 118 * depth,
            "ankle": -16 * depth,
            "hip_abduct": 5 + 10 * depth,
            "spine_pitch": 34 * depth,
            "neck_pitch": -18 * depth,
            "shoulder_flex": 82 * depth,
            "shoulder_abduct": 8,
            "elbow": 10,
        }
    ), 0.0


def jump(phase: float) -> tuple[F32, float]:
    """Jump: crouch, leap with arms up, land; the flight is a parabola 0.32 m high."""
    phase %= 1
    crouch = _bump(phase / 0.4) if phase < 0.4 else 0.7 * _bump((phase - 0.6) / 0.4) * (phase > 0.6)
    flight = max(0.0, 1 - ((phase - 0.5) / 0.16) ** 2)
    arms = _bump(np.clip((phase - 0.1) / 0.8, 0, 1))
    return pose_angles(
        {
            "hip_flex": 62 * crouch,
            "knee": 84 * crouch + 10 * flight,
            "ankle": -20 * crouch + 35 * flight,
            "spine_pitch": 26 * crouch,
            "shoulder_flex": -30 * crouch * (1 - arms),
            "shoulder_abduct": 10 + 116 * arms,
            "elbow": 16,
            "hip_abduct": 5 + 9 * flight,
        }
    ), 0.32 * flight


def idle(phase: float) -> tuple[F32, float]:
    """Idle: stand, shift the weight and look around a little."""
    sway = float(np.sin(2 * np.pi * phase))
    return pose_angles(
        {
            "shoulder_abduct": 8 + sway,
            "elbow": 13,
            "neck_yaw": 18 * sway,
            "spine_roll": 2.5 * sway,
            "hip_abduct": 4,
        }
    ), 0.0


MOTIONS: dict[Motion, Callable[[float], tuple[F32, float]]] = {
    "walk": walk,
    "wave": wave,
    "squat": squat,
    "jump": jump,
    "idle": idle,
}
"""Motion -> function of the phase in cycles, giving joint angles and the height of the feet in metres."""


def sample_pose(rng: np.random.Generator) -> tuple[F32, float]:
    """Draw a still pose or a moment of a motion, with noise; returns angles and the height of the feet in metres."""
    if rng.random() < 0.45:
        motion = MOTIONS[rng.choice(np.array(["walk", "walk", "wave", "squat", "jump"]))]
        angles, lift_m = motion(float(rng.random()))
    else:
        angles, lift_m = pose_angles(STILLS[str(rng.choice(np.array(list(STILLS))))]), 0.0
    if rng.random() < 0.5:
        angles = mirrored(angles)
    spread = np.where([("neck" in name) or ("elbow" in name) for name in DOF], 9, 5)
    return limited((angles + rng.normal(0, spread)).astype(np.float32)), lift_m
