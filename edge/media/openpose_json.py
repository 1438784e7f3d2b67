"""OpenPose's JSON people: BODY_25 body, 21-keypoint hands and 70-keypoint face, matched by keypoint names.

Format: github.com/CMU-Perceptual-Computing-Lab/openpose, doc/02_output.md. Keypoints that a schema lacks are (0, 0, 0),
as are those that OpenPose did not find.
"""

from typing import Any

import numpy as np

from edge.schema import KeypointSchema, load_schema
from edge.types import F32, Poses
from runtimes.errors import InputError

# BODY_25's midpoints of two keypoints.
_BETWEEN = {
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}
# Other schemas' names of BODY_25's keypoints.
_ALIASES = {"mid_hip": ("hip", "pelvis"), "neck": ("upper_neck",)}
_FACE = tuple(f"face-{index}" for index in range(68))
_PUPILS = 2  # after iBUG's 68 keypoints in OpenPose's face
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")


def openpose_people(poses: Poses) -> list[dict[str, Any]]:
    """Return the "people" of one OpenPose frame; raises InputError for a schema without shoulders and hips."""
    points = np.concatenate([poses.xy, poses.scores[..., None]], axis=2)
    body = _body25(points, poses.schema)
    face = _named(points, poses.schema, _FACE)
    if face.shape[1]:
        face = np.pad(face, ((0, 0), (0, _PUPILS), (0, 0)))
    left, right = (_named(points, poses.schema, _hand(side)) for side in ("left", "right"))
    return [
        {
            "person_id": [int(poses.ids[index])],
            "pose_keypoints_2d": _flat(body[index]),
            "face_keypoints_2d": _flat(face[index]),
            "hand_left_keypoints_2d": _flat(left[index]),
            "hand_right_keypoints_2d": _flat(right[index]),
            "pose_keypoints_3d": [],
            "face_keypoints_3d": [],
            "hand_left_keypoints_3d": [],
            "hand_right_keypoints_3d": [],
        }
        for index in range(len(poses))
    ]


def _hand(side: str) -> tuple[str, ...]:
    joints = (f"{side}_{finger}{joint}" for finger in _FINGERS for joint in range(1, 5))
    return (f"{side}_hand_root", *joints)


def _body25(points: F32, schema: KeypointSchema) -> F32:
    """Return float32 (N, 25, 3) from points (N, K, 3) as x, y, score."""
    index = {name: number for number, name in enumerate(schema.names)}
    if not all(name in index for pair in _BETWEEN.values() for name in pair):
        raise InputError(f"OpenPose's format holds people; {schema.name} has no shoulders and hips")
    target = load_schema("body25").names
    body: F32 = np.zeros((len(points), len(target), 3), np.float32)
    for number, name in enumerate(target):
        own = next((each for each in (name, *_ALIASES.get(name, ())) if each in index), None)
        if own is not None:
            body[:, number] = points[:, index[own]]
        elif name in _BETWEEN:
            a, b = (points[:, index[each]] for each in _BETWEEN[name])
            body[:, number, :2] = (a[:, :2] + b[:, :2]) / 2
            body[:, number, 2] = np.minimum(a[:, 2], b[:, 2])
    return body


def _named(points: F32, schema: KeypointSchema, names: tuple[str, ...]) -> F32:
    """Return the keypoints of these names, float32 (N, len(names), 3), or (N, 0, 3) where the schema lacks any."""
    index = {name: number for number, name in enumerate(schema.names)}
    rows = [index[name] for name in names] if all(name in index for name in names) else []
    return points[:, np.array(rows, np.intp)]


def _flat(points: F32) -> list[float]:
    return [round(float(value), 3) for value in points.ravel()]
