"""Parts of a drawn body, and a skeleton placed in the image."""

from dataclasses import dataclass
from enum import IntEnum

from edge.types import F32


class Part(IntEnum):
    """Part number of a pixel; right-side parts follow their left ones."""

    HEAD = 1
    EAR = 2
    HAIR = 3
    NECK = 4
    TORSO = 5
    SKIRT = 6
    BAG = 7
    L_UPPER_ARM = 8
    R_UPPER_ARM = 9
    L_FOREARM = 10
    R_FOREARM = 11
    L_HAND = 12
    R_HAND = 13
    L_THIGH = 14
    R_THIGH = 15
    L_SHANK = 16
    R_SHANK = 17
    L_FOOT = 18
    R_FOOT = 19


@dataclass(frozen=True, slots=True)
class PlacedSkeleton:
    """A skeleton in the image: points (21, 3) in pixels, x right, y down, z to the viewer.

    The axes are (3, 3), rows left, up and front, unit vectors; `unit` is pixels in one stature.
    """

    points: F32
    pelvis_axes: F32
    chest_axes: F32
    head_axes: F32
    unit: float
