"""Conversion between keypoint sets by the keypoints that they share, without synthesising missing keypoints."""

import numpy as np

from edge.schema import KeypointSchema, load_schema, shared_keypoints
from edge.types import F32, Poses

COCO = "coco17"


def as_schema(poses: Poses, schema: KeypointSchema) -> Poses:
    """Return the same people in another keypoint set; keypoints that theirs lacks get xy 0 and score 0."""
    if poses.schema.names == schema.names:
        return poses
    rows = shared_keypoints(poses.schema, schema)
    known = rows >= 0
    xy: F32 = np.where(known[:, None], poses.xy[:, rows], np.float32(0))
    scores: F32 = np.where(known, poses.scores[:, rows], np.float32(0))
    return Poses(xy, scores, poses.boxes, poses.box_scores, poses.ids, schema)


def scored_schema(schema: KeypointSchema) -> KeypointSchema:
    """Return the set that results are scored in: COCO's where `schema` has no sigmas and all of COCO's keypoints."""
    coco = load_schema(COCO)
    return coco if not schema.sigmas and set(coco.names) <= set(schema.names) else schema
