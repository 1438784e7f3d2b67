"""From what a bottom-up model found in its input to people in the frame. Knows no model and no codec."""

import numpy as np

from edge.geometry import Crop
from edge.schema import KeypointSchema
from edge.types import F32, Keypoints, Poses


def people_in_frame(found: Keypoints, crop: Crop, schema: KeypointSchema) -> Poses:
    """Return the people in frame pixels; one without any keypoint is nobody.

    A keypoint that was not found keeps xy 0 and score 0. The box is what the found ones span, and its score the share
    of the keypoints that were found: so a whole person ranks before a fragment.
    """
    somebody = (found.scores > 0).any(axis=1)
    scores = found.scores[somebody]
    seen = scores > 0
    xy: F32 = np.where(seen[..., None], crop.to_frame(found.xy[somebody]), np.float32(0))
    low = np.where(seen[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    return Poses(
        xy,
        scores,
        np.concatenate([low, high], axis=1).astype(np.float32),
        seen.mean(axis=1).astype(np.float32),
        np.full(len(xy), -1, np.int32),
        schema,
    )
