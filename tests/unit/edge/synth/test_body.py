"""The drawn body obeys geometry: bones keep their length, mirrors mirror, feet stand on the floor."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.synth.body import (
    DOF,
    LIMITS_DEG,
    Joint,
    Proportions,
    limited,
    mirrored,
    pose_angles,
    sample_proportions,
    solve,
)
from edge.synth.motion import MOTIONS, STILLS, sample_pose

AVERAGE = Proportions(1.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
SWAPPED = [
    index if index <= Joint.HEAD else index + 1 if index % 2 else index - 1 for index in Joint
]
BONES = (
    (Joint.L_SHOULDER, Joint.L_ELBOW, 0.172),
    (Joint.R_ELBOW, Joint.R_WRIST, 0.143),
    (Joint.L_HIP, Joint.L_KNEE, 0.245),
    (Joint.R_KNEE, Joint.R_ANKLE, 0.243),
)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_bones_keep_their_length_and_the_lowest_foot_stands_on_the_floor(seed: int) -> None:
    angles, _ = sample_pose(np.random.default_rng(seed))
    points = solve(AVERAGE, angles).points
    for start, end, share in BONES:
        length = float(np.linalg.norm(points[end] - points[start]))
        assert length == pytest.approx(share * 1.75, rel=1e-4)
    assert points[Joint.L_HEEL :, 1].min() == pytest.approx(0.018 * 1.75, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_mirrored_pose_gives_the_mirrored_skeleton(seed: int) -> None:
    rng = np.random.default_rng(seed)
    body, (angles, _) = sample_proportions(rng), sample_pose(rng)
    points, mirror = solve(body, angles).points, solve(body, mirrored(angles)).points
    np.testing.assert_allclose(mirror, points[SWAPPED] * [-1, 1, 1], atol=2e-5)
    np.testing.assert_array_equal(mirrored(mirrored(angles)), angles)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_joints_stay_inside_their_limits(seed: int) -> None:
    angles, lift_m = sample_pose(np.random.default_rng(seed))
    assert lift_m >= 0
    for name, value in zip(DOF, angles.tolist(), strict=True):
        low, high = LIMITS_DEG[name.removeprefix("l_").removeprefix("r_")]
        assert low <= value <= high


@pytest.mark.parametrize("name", STILLS)
def test_still_poses_name_known_joints_within_limits(name: str) -> None:
    known = {*DOF, *LIMITS_DEG}
    assert set(STILLS[name]) <= known
    for joint, value in STILLS[name].items():
        low, high = LIMITS_DEG[joint.removeprefix("l_").removeprefix("r_")]
        assert low <= value <= high, joint


def test_the_sided_angle_wins_over_both_sides() -> None:
    angles = dict(zip(DOF, pose_angles({"l_elbow": 30, "elbow": 90}).tolist(), strict=True))
    assert (angles["l_elbow"], angles["r_elbow"]) == (30, 90)
    assert limited(np.full(len(DOF), 1000, np.float32)).max() == max(
        high for _, high in LIMITS_DEG.values()
    )


@pytest.mark.parametrize("motion", MOTIONS)
def test_motions_are_periodic_and_without_jerks(motion: str) -> None:
    phases = np.linspace(0, 1, 201)
    poses = np.stack([MOTIONS[motion](float(phase))[0] for phase in phases])  # type: ignore[index]
    lifts = np.array([MOTIONS[motion](float(phase))[1] for phase in phases])  # type: ignore[index]
    assert np.abs(np.diff(poses, axis=0)).max() < 6
    assert np.abs(np.diff(lifts)).max() < 0.03
    np.testing.assert_allclose(poses[0], poses[-1], atol=1e-3)
