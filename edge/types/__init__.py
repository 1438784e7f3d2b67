"""Value types: frames, detections, keypoints, dense maps, poses. Shapes and dtypes are checked on construction.

N people, K keypoints; boxes xyxy; x before y; 0-based pixels of the original frame unless stated otherwise.
"""

from edge.types.arrays import F32, F64, I32, U8, Floats, Indices, Mask, Value, check_shape, counted
from edge.types.poses import Person, Point, Poses
from edge.types.values import DenseMap, Detections, Frame, Keypoints

__all__ = [
    "F32",
    "F64",
    "I32",
    "U8",
    "DenseMap",
    "Detections",
    "Floats",
    "Frame",
    "Indices",
    "Keypoints",
    "Mask",
    "Person",
    "Point",
    "Poses",
    "Value",
    "check_shape",
    "counted",
]
