"""Float32 arrays, channel stacking and rotations about the axes."""

import cv2
import numpy as np
from numpy.typing import ArrayLike

from edge.types import F32


def f32(values: ArrayLike) -> F32:
    """Return the values as a float32 array."""
    return np.asarray(values, np.float32)


def thrice(plane: F32) -> F32:
    """Return (H, W) as (H, W, 3) with equal channels: numpy broadcasts a last axis of 3 slowly."""
    channels: F32 = cv2.merge([plane, plane, plane])
    return channels


def tinted(plane: F32, colour: F32) -> F32:
    """Return (H, W) times a colour (3,) as (H, W, 3)."""
    channels: F32 = cv2.merge([plane * value for value in colour])
    return channels


def turn_x(degrees: float) -> F32:
    """Return the rotation about x, float32 (3, 3), for column vectors; positive takes y to z."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return f32([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def turn_y(degrees: float) -> F32:
    """Return the rotation about y, float32 (3, 3), for column vectors; positive takes z to x."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return f32([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def turn_z(degrees: float) -> F32:
    """Return the rotation about z, float32 (3, 3), for column vectors; positive takes x to y."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return f32([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
