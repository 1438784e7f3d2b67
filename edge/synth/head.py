"""Heads: skull, nose, ears, hair and hats as ellipsoids, and points of the face on the skin."""

import numpy as np

from edge.synth.body import Joint
from edge.synth.linear import f32
from edge.synth.parts import Part, PlacedSkeleton
from edge.synth.solid import Ellipsoid
from edge.synth.wardrobe import Look, Material
from edge.types import F32

_Triple = tuple[float, float, float]
_Blobs = tuple[tuple[_Triple, _Triple], ...]
"""Ellipsoids as offset from the head's middle and half-axes, both in half-axes of the head."""
_SKULL: _Blobs = (((0, 0, 0), (1, 1, 1)),)
_NOSE: _Blobs = (((0, -0.26, 0.98), (0.17, 0.2, 0.2)),)
_EARS: _Blobs = tuple(((0.99 * sign, -0.04, -0.05), (0.12, 0.24, 0.2)) for sign in (-1, 1))
_CROWN: _Blobs = (((0, 0.2, -0.2), (1.06, 0.95, 0.98)),)
_HAIR_BLOBS: dict[str, _Blobs] = {
    "bald": (),
    "short": _CROWN,
    "long": (*_CROWN, ((0, -0.35, -0.55), (1.2, 1.35, 0.62))),
    "bun": (*_CROWN, ((0, 0.75, -0.85), (0.48, 0.36, 0.42))),
    "tail": (*_CROWN, ((0, -0.35, -1.2), (0.3, 0.95, 0.26))),
    "afro": (((0, 0.36, -0.28), (1.42, 1.1, 1.16)),),
}
_FLAT: _Blobs = (((0, 0.02, -0.24), (1.05, 0.8, 0.92)),)
_UNDER_HAT: dict[str, _Blobs] = {
    "bald": (),
    "short": _FLAT,
    "long": (*_FLAT, ((0, -0.45, -0.55), (1.16, 1.2, 0.6))),
    "bun": _FLAT,
    "tail": (*_FLAT, ((0, -0.45, -1.15), (0.3, 0.9, 0.26))),
    "afro": (((0, -0.05, -0.4), (1.3, 0.8, 0.95)),),
}
_HAT_BLOBS: dict[str, _Blobs] = {
    "none": (),
    "cap": (((0, 0.4, -0.12), (1.12, 0.74, 1.06)), ((0, 0.46, 0.95), (0.78, 0.09, 0.62))),
    "beanie": (((0, 0.42, -0.12), (1.14, 0.82, 1.08)),),
    "brim": (((0, 0.5, -0.08), (1.08, 0.72, 1.0)), ((0, 0.5, 0), (1.9, 0.1, 1.7))),
}


def head_size(view: PlacedSkeleton, look: Look) -> F32:
    """Return the half-axes of the head in pixels, float32 (3,): left, up, front."""
    size = view.unit * look.body.head
    return f32([0.0465 * size, 0.0705 * size, 0.058 * size])


def head_place(view: PlacedSkeleton, look: Look, azimuth_deg: float, up: float) -> F32:
    """Return a point (3,) on the head: azimuth to the person's left from the nose, `up` -1..1."""
    ring, turn = np.sqrt(1 - up * up), np.radians(azimuth_deg)
    local = f32([np.sin(turn) * ring, up, np.cos(turn) * ring]) * head_size(view, look)
    place: F32 = view.points[Joint.HEAD] + local @ view.head_axes
    return place


def head_solids(view: PlacedSkeleton, look: Look) -> list[Ellipsoid]:
    """Return all solids of a head."""
    hair = _HAIR_BLOBS[look.hair] if look.hat == "none" else _UNDER_HAT[look.hair]
    layers = (
        (Part.HEAD, _SKULL, Material.FACE),
        (Part.HEAD, _NOSE, Material.SKIN),
        (Part.EAR, _EARS, Material.SKIN),
        (Part.HAIR, hair, Material.HAIR),
        (Part.HAIR, _HAT_BLOBS[look.hat], Material.EXTRA),
    )
    half = head_size(view, look)
    found: list[Ellipsoid] = []
    for part, blobs, material in layers:
        for offset, size in blobs:
            centre = view.points[Joint.HEAD] + (f32(offset) * half) @ view.head_axes
            axes = (f32(size) * half)[:, None] * view.head_axes
            found.append(Ellipsoid(part, centre, axes, material))
    return found
