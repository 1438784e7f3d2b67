"""Sprite of one person: colour, coverage and the 17 COCO keypoints with self-occlusion.

Knows one person at a time; occlusion between people is computed by `scene`.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.synth.body import Joint, Skeleton, solve
from edge.synth.figure import solids
from edge.synth.head import head_place
from edge.synth.linear import f32, tinted, turn_x, turn_y, turn_z
from edge.synth.parts import Part, PlacedSkeleton
from edge.synth.solid import Surface, paint
from edge.synth.wardrobe import Look
from edge.types import F32

_SMALL_PX = 170
"""People shorter than this are drawn at twice the size and averaged: their arms would alias otherwise."""


@dataclass(frozen=True, slots=True)
class Stance:
    """Pose and placement of a person in front of the camera.

    `angles` float32 (24,) degrees; `lift_m` height of the feet; `yaw_deg` 0 faces the camera, 90 its right;
    `tilt_deg` downward pitch of the camera; `lean_deg` in-plane rotation, clockwise negative;
    `base_xy` pixel between the feet; `px_per_m` scale.
    """

    angles: F32
    lift_m: float
    yaw_deg: float
    tilt_deg: float
    lean_deg: float
    base_xy: tuple[float, float]
    px_per_m: float


@dataclass(frozen=True, slots=True)
class Light:
    """`direction` unit float32 (3,) towards the light (x right, y down, z to the viewer); `tint` BGR factors."""

    direction: F32
    ambient: float
    tint: F32


@dataclass(frozen=True, slots=True)
class Sprite:
    """A person's pixels at `left_top` of the frame.

    `colour` float32 (h, w, 3) BGR times coverage, `cover` float32 (h, w) in 0..1;
    `keypoints` float32 (17, 2) frame pixels; `visible` bool (17,), false where the body occludes its own joint.
    """

    left_top: tuple[int, int]
    colour: F32
    cover: F32
    keypoints: F32
    visible: NDArray[np.bool_]


def draw_sprite(look: Look, stance: Stance, light: Light, wh: tuple[int, int]) -> Sprite | None:
    """Draw a person for a frame of size `wh`; None where no part of it is inside."""
    view = place(solve(look.body, stance.angles), look, stance)
    margin = 0.15 * view.unit
    low = np.floor(view.points[:, :2].min(axis=0) - margin).astype(int)
    high = np.ceil(view.points[:, :2].max(axis=0) + margin).astype(int)
    left, top = max(0, int(low[0])), max(0, int(low[1]))
    right, bottom = min(wh[0], int(high[0])), min(wh[1], int(high[1]))
    if right - left < 2 or bottom - top < 2:
        return None
    zoom = 2 if view.unit < _SMALL_PX else 1
    near = _zoomed(view, (left, top), zoom)
    surface = Surface.empty(((right - left) * zoom, (bottom - top) * zoom))
    for solid in solids(near, look):
        paint(surface, solid)
    colour, cover = _shade(surface, look, light, near.unit)
    if zoom > 1:
        size = (right - left, bottom - top)
        colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
        cover = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)
    places = keypoint_places(near, look)
    keypoints = (places[:, :2] - (zoom - 1) / 2) / zoom + f32([left, top])
    visible = _own_visibility(surface, places, near)
    return Sprite((left, top), colour, cover, keypoints.astype(np.float32), visible)


def place(skeleton: Skeleton, look: Look, stance: Stance) -> PlacedSkeleton:
    """Project a skeleton into the image."""
    turn = turn_z(stance.lean_deg) @ turn_x(stance.tilt_deg) @ turn_y(stance.yaw_deg)
    flip = f32([1, -1, 1])
    points = skeleton.points + f32([0, stance.lift_m, 0])
    pixels = (points @ turn.T) * (flip * np.float32(stance.px_per_m))
    pixels[:, :2] += f32(stance.base_xy)
    return PlacedSkeleton(
        points=pixels.astype(np.float32),
        pelvis_axes=(skeleton.pelvis_axes @ turn.T) * flip,
        chest_axes=(skeleton.chest_axes @ turn.T) * flip,
        head_axes=(skeleton.head_axes @ turn.T) * flip,
        unit=look.body.stature_m * stance.px_per_m,
    )


def _zoomed(view: PlacedSkeleton, left_top: tuple[int, int], zoom: int) -> PlacedSkeleton:
    origin = f32([*left_top, 0])
    points = (view.points - origin) * np.float32(zoom)
    # pixel centres are whole numbers before and after
    points[:, :2] += np.float32((zoom - 1) / 2)
    return PlacedSkeleton(
        points, view.pelvis_axes, view.chest_axes, view.head_axes, view.unit * zoom
    )


def keypoint_places(view: PlacedSkeleton, look: Look) -> F32:
    """Return the COCO keypoints (17, 3) in pixels and depth: of the face on the skin, the others at joints."""
    face = [
        head_place(view, look, 0, -0.24) + view.head_axes[2] * np.float32(0.008 * view.unit),
        head_place(view, look, 24, 0.08),
        head_place(view, look, -24, 0.08),
        head_place(view, look, 93, -0.04),
        head_place(view, look, -93, -0.04),
    ]
    limbs = (
        *(Joint.L_SHOULDER, Joint.R_SHOULDER, Joint.L_ELBOW, Joint.R_ELBOW),
        *(Joint.L_WRIST, Joint.R_WRIST, Joint.L_HIP, Joint.R_HIP),
        *(Joint.L_KNEE, Joint.R_KNEE, Joint.L_ANKLE, Joint.R_ANKLE),
    )
    return np.concatenate([np.stack(face), view.points[list(limbs)]]).astype(np.float32)


_SHOWN_BY: tuple[tuple[Part, ...], ...] = (
    (Part.HEAD,),
    (Part.HEAD,),
    (Part.HEAD,),
    (Part.HEAD, Part.EAR),
    (Part.HEAD, Part.EAR),
    (Part.TORSO, Part.L_UPPER_ARM),
    (Part.TORSO, Part.R_UPPER_ARM),
    (Part.L_UPPER_ARM, Part.L_FOREARM),
    (Part.R_UPPER_ARM, Part.R_FOREARM),
    (Part.L_FOREARM, Part.L_HAND),
    (Part.R_FOREARM, Part.R_HAND),
    (Part.TORSO, Part.SKIRT, Part.L_THIGH),
    (Part.TORSO, Part.SKIRT, Part.R_THIGH),
    (Part.L_THIGH, Part.L_SHANK),
    (Part.R_THIGH, Part.R_SHANK),
    (Part.L_SHANK, Part.L_FOOT),
    (Part.R_SHANK, Part.R_FOOT),
)
"""Parts whose surface, where visible at a keypoint, shows that keypoint."""
_BODY_PARTS = (Part.TORSO, Part.SKIRT)
_FACE = 5


def _own_visibility(surface: Surface, places: F32, view: PlacedSkeleton) -> NDArray[np.bool_]:
    """Return for each keypoint whether the person's own surface shows it; false outside the surface."""
    height, width = surface.part.shape
    visible = np.zeros(len(places), bool)
    for index, (x, y, z) in enumerate(places.tolist()):
        column, row = round(x), round(y)
        if not (0 <= column < width and 0 <= row < height):
            continue
        part = int(surface.part[row, column])
        if part not in _SHOWN_BY[index]:
            continue
        if index < _FACE:
            visible[index] = abs(float(surface.depth[row, column]) - z) < 0.02 * view.unit
        elif part in _BODY_PARTS:
            # beyond about 55 degrees of yaw the far shoulder and hip are behind the trunk
            other = places[index + 1 if index % 2 else index - 1]
            away, apart = (other[2] - z) / 2, np.linalg.norm(other - places[index]) / 2
            visible[index] = away < 0.82 * apart
        else:
            visible[index] = True
    return visible


def _shade(surface: Surface, look: Look, light: Light, unit: float) -> tuple[F32, F32]:
    """Return colour times coverage (h, w, 3) and coverage (h, w)."""
    solid = surface.part > 0
    texture = cv2.remap(look.atlas, surface.column, surface.row, cv2.INTER_LINEAR)
    nx, ny = surface.normal_x, surface.normal_y
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
    x, y, z = (float(value) for value in light.direction)
    lit = np.maximum(nx * x + ny * y + nz * z, 0)
    shade = light.ambient + (1 - light.ambient) * lit
    # surfaces just behind a nearer part get less light, so that arms stand out from the trunk
    depth = np.where(solid, surface.depth, -0.05 * unit).astype(np.float32)
    blur = max(3, int(0.05 * unit)) | 1
    crease = np.clip((cv2.blur(depth, (blur, blur)) - depth) / np.float32(0.12 * unit), 0, 0.45)
    shade = np.where(solid, shade * (1 - crease), 0)
    colour: F32 = cv2.multiply(texture, tinted(f32(shade), light.tint), dtype=cv2.CV_32F)
    return colour, solid.astype(np.float32)
