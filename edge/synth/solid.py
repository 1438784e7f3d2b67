"""Rasteriser: tapered limbs, ellipsoids and lofts to per-pixel depth, normal and texture coordinates.

Space: pixels, x right, y down, z towards the viewer, orthographic. A depth buffer makes occlusion exact. Knows shapes
and part numbers, no bodies and no colours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, U8

TILE = 128
"""Side of a material's texture in texels; materials are stacked in one atlas, (materials * TILE, TILE, 3)."""

_EDGE = np.float32(TILE - 2)


@dataclass(frozen=True, slots=True)
class Surface:
    """Buffers (H, W) of the visible surface: depth, part number (0: none), normal x and y, atlas column and row."""

    depth: F32
    part: U8
    normal_x: F32
    normal_y: F32
    column: F32
    row: F32

    @classmethod
    def empty(cls, wh: tuple[int, int]) -> "Surface":
        """Return empty buffers."""
        shape = (wh[1], wh[0])
        depth = np.full(shape, -1e6, np.float32)
        normal_x, normal_y, column, row = np.zeros((4, *shape), np.float32)
        return cls(depth, np.zeros(shape, np.uint8), normal_x, normal_y, column, row)


@dataclass(frozen=True, slots=True)
class Limb:
    """A tapered capsule from `start` to `end`, both (3,), through evenly spaced `radii`, all in pixels.

    `materials` (as many as radii) are atlas tiles along it; `texel` is texels a pixel.
    """

    part: int
    start: F32
    end: F32
    radii: F32
    materials: F32
    texel: float


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """`axes` rows are the half-axes (3, 3) in pixels: left, up, front.

    Textured as a globe: columns by azimuth, 0.5 in front; rows from top to bottom.
    """

    part: int
    centre: F32
    axes: F32
    material: int


@dataclass(frozen=True, slots=True)
class Loft:
    """Elliptic sections along `start` -> `end`: `side` and `front` are unit axes, `widths` and `depths` half-sizes.

    Sections are spaced evenly from `start` to `end`. Textured by azimuth and height.
    """

    part: int
    start: F32
    end: F32
    side: F32
    front: F32
    widths: F32
    depths: F32
    material: int


Solid = Limb | Ellipsoid | Loft


def paint(surface: Surface, solid: Solid) -> None:
    """Rasterise a solid into the surface where it is the nearest."""
    if isinstance(solid, Limb):
        _paint_limb(surface, solid)
    elif isinstance(solid, Ellipsoid):
        _paint_ellipsoid(surface, solid)
    else:
        _paint_loft(surface, solid)


@dataclass(frozen=True, slots=True)
class _Window:
    """A rectangle of the surface and its pixel coordinates, broadcastable."""

    rows: slice
    columns: slice
    x: F32
    y: F32


def _window(surface: Surface, first: F32, second: F32, reach: float) -> _Window | None:
    """Return the pixels within `reach` of the box around two points; None where there are none."""
    low, high = np.minimum(first, second) - reach, np.maximum(first, second) + reach
    height, width = surface.depth.shape
    left, top = max(0, int(low[0]) - 1), max(0, int(low[1]) - 1)
    right, bottom = min(width, int(high[0]) + 2), min(height, int(high[1]) + 2)
    if left >= right or top >= bottom:
        return None
    x = np.arange(left, right, dtype=np.float32)[None]
    y = np.arange(top, bottom, dtype=np.float32)[:, None]
    return _Window(slice(top, bottom), slice(left, right), x, y)


def _keep(
    surface: Surface,
    window: _Window,
    part: int,
    inside: NDArray[np.bool_],
    layers: tuple[F32, F32, F32, F32, F32],
) -> None:
    """Write depth, normal x, normal y, column and row where `inside` and nearer than the surface so far."""
    place = (window.rows, window.columns)
    depth = layers[0]
    wins = inside & (depth > surface.depth[place])
    np.copyto(surface.part[place], np.uint8(part), where=wins)
    targets = (surface.depth, surface.normal_x, surface.normal_y, surface.column, surface.row)
    for target, values in zip(targets, layers, strict=True):
        np.copyto(target[place], values, where=wins)


def _paint_limb(surface: Surface, limb: Limb) -> None:
    reach = float(limb.radii.max())
    window = _window(surface, limb.start, limb.end, reach)
    if window is None:
        return
    bone = limb.end - limb.start
    length = max(float(np.hypot(bone[0], bone[1])), 1e-3)
    ux, uy = bone[0] / length, bone[1] / length
    # the normals of a cylinder that leans towards the viewer tilt along its axis
    lean = bone[2] / max(float(np.linalg.norm(bone)), 1e-3)
    dx, dy = window.x - limb.start[0], window.y - limb.start[1]
    share = np.clip((dx * ux + dy * uy) / np.float32(length), 0, 1)
    station = (share * (len(limb.radii) - 1) + 0.5).astype(np.int32)
    radius = limb.radii[station]
    ox, oy = (dx - share * bone[0]) / radius, (dy - share * bone[1]) / radius
    outside = ox * ox + oy * oy
    lift = np.sqrt(np.maximum(1 - outside, 0))
    depth = limb.start[2] + share * bone[2] + radius * lift
    texel = np.float32(limb.texel)
    column = np.clip(TILE / 2 + (oy * ux - ox * uy) * radius * texel, 1, _EDGE)
    along = np.clip(share * (np.float32(length) * texel) + 8, 1, _EDGE)
    row = along + limb.materials[station] * TILE
    layers = (depth, ox - lift * (lean * ux), oy - lift * (lean * uy), column, row)
    _keep(surface, window, limb.part, outside < 1, layers)


def _paint_ellipsoid(surface: Surface, solid: Ellipsoid) -> None:
    reach = np.sqrt((solid.axes**2).sum(axis=0))
    window = _window(surface, solid.centre - reach, solid.centre + reach, 0)
    if window is None:
        return
    # s = inverse @ (p - centre) is on the unit sphere: a quadratic in depth
    inverse = np.linalg.inv(solid.axes.T).astype(np.float32)
    dx, dy = window.x - solid.centre[0], window.y - solid.centre[1]
    first = [inverse[row, 0] * dx + inverse[row, 1] * dy for row in range(3)]
    towards = inverse[:, 2]
    a = float(towards @ towards)
    b = first[0] * towards[0] + first[1] * towards[1] + first[2] * towards[2]
    c = first[0] ** 2 + first[1] ** 2 + first[2] ** 2 - 1
    under = b * b - a * c
    depth = (np.sqrt(np.maximum(under, 0)) - b) / np.float32(a)
    left, up, front = (first[row] + depth * towards[row] for row in range(3))
    normal = [
        inverse[0, axis] * left + inverse[1, axis] * up + inverse[2, axis] * front
        for axis in range(3)
    ]
    size = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + np.float32(1e-9)
    turn = np.arctan2(left, front) * np.float32(1 / (2 * np.pi)) + np.float32(0.5)
    column = 1 + turn * np.float32(TILE - 3)
    row = np.clip((1 - up) * np.float32(TILE / 2), 1, _EDGE) + np.float32(solid.material * TILE)
    layers = (depth + solid.centre[2], normal[0] / size, normal[1] / size, column, row)
    _keep(surface, window, solid.part, under > 0, layers)


def _paint_loft(surface: Surface, loft: Loft) -> None:
    bone = loft.end - loft.start
    length = max(float(np.hypot(bone[0], bone[1])), 1e-3)
    ux, uy = bone[0] / length, bone[1] / length
    # half-sizes of each section across the axis in the image (n) and towards the viewer (z)
    side_n, front_n = loft.side[1] * ux - loft.side[0] * uy, loft.front[1] * ux - loft.front[0] * uy
    side_z, front_z = loft.side[2], loft.front[2]
    wide = np.sqrt((loft.widths * side_n) ** 2 + (loft.depths * front_n) ** 2) + 1e-3
    cross = (loft.widths**2 * side_n * side_z + loft.depths**2 * front_n * front_z) / wide
    det = side_n * front_z - front_n * side_z
    det = float(np.copysign(max(abs(det), 0.05), det))
    bulge = loft.widths * loft.depths * abs(det) / wide
    reach = float(wide.max())
    window = _window(surface, loft.start, loft.end, reach)
    if window is None:
        return
    dx, dy = window.x - loft.start[0], window.y - loft.start[1]
    share = (dx * ux + dy * uy) / np.float32(length)
    last = len(wide) - 1
    station = (np.clip(share, 0, 1) * last + 0.5).astype(np.int32)
    across = (dy * ux - dx * uy) / wide.astype(np.float32)[station]
    lift = np.sqrt(np.maximum(1 - across * across, 0))
    rise = cross.astype(np.float32)[station] * across + bulge.astype(np.float32)[station] * lift
    # the same point along the section's own axes gives its normal and azimuth
    offset = across * wide.astype(np.float32)[station]
    along_side = (front_z * offset - front_n * rise) / np.float32(det)
    along_front = (side_n * rise - side_z * offset) / np.float32(det)
    widths, depths = (
        loft.widths.astype(np.float32)[station],
        loft.depths.astype(np.float32)[station],
    )
    by_side, by_front = along_side / widths**2, along_front / depths**2
    normal = [loft.side[axis] * by_side + loft.front[axis] * by_front for axis in range(3)]
    size = np.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2) + np.float32(1e-9)
    turn = np.arctan2(along_side / widths, along_front / depths) / np.float32(2 * np.pi) + 0.5
    row = 1 + np.clip(1 - share, 0, 1) * np.float32(TILE - 3) + np.float32(loft.material * TILE)
    depth = loft.start[2] + share * bone[2] + rise
    inside = (np.abs(across) < 1) & (share > 0) & (share < 1)
    layers = (depth, normal[0] / size, normal[1] / size, 1 + turn * np.float32(TILE - 3), row)
    _keep(surface, window, loft.part, inside, layers)
