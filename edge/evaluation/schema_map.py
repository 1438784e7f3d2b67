"""Conversion between keypoint sets by keypoint names, without synthesising missing keypoints."""

import numpy as np

from edge.schema import KeypointSchema, load_schema
from edge.types import F32, Poses

COCO = "coco17"


def as_schema(poses: Poses, schema: KeypointSchema) -> Poses:
    """Return the same people in another keypoint set; keypoints that theirs lacks get xy 0 and score 0."""
    if poses.schema.names == schema.names:
        return poses
    places = {name: place for place, name in enumerate(poses.schema.names)}
    known = np.array([name in places for name in schema.names])
    rows = np.array([places.get(name, 0) for name in schema.names], np.intp)
    xy: F32 = np.where(known[:, None], poses.xy[:, rows], np.float32(0))
    scores: F32 = np.where(known, poses.scores[:, rows], np.float32(0))
    return Poses(xy, scores, poses.boxes, poses.box_scores, poses.ids, schema)


def scored_schema(schema: KeypointSchema) -> KeypointSchema:
    """Return the set that results are scored in: COCO's where `schema` has no sigmas and all of COCO's keypoints."""
    coco = load_schema(COCO)
    return coco if not schema.sigmas and set(coco.names) <= set(schema.names) else schema
