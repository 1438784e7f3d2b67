"""Pseudo-labels as COCO annotations: what reaches beyond the picture is no label of it."""

import numpy as np

from edge.media.pseudo_labels import LabelRule, label_records
from edge.schema import KeypointSchema
from edge.types import Poses

TWO = KeypointSchema("two", ("nose", "neck"))


def test_boxes_are_clipped_and_keypoints_outside_are_unlabelled() -> None:
    """On a picture of 100x80 whose last pixel is (99, 79); position and score of the keypoint outside are kept."""
    xy = np.array([[[99, 79], [99.5, 40]]], np.float32)
    scores = np.full((1, 2), 0.9, np.float32)
    boxes = np.array([[-10, 20, 110, 90]], np.float32)
    poses = Poses(xy, scores, boxes, np.ones(1, np.float32), np.full(1, -1, np.int32), TWO)
    (record,) = label_records(poses, 1, 7, LabelRule(0.5, 0.3), (100, 80))
    assert record["bbox"] == [0, 20, 100, 60]
    assert record["keypoints"] == [99, 79, 2, 99.5, 40, 0]
    assert (record["num_keypoints"], record["keypoint_scores"]) == (1, [0.9, 0.9])
