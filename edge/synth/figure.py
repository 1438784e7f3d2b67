"""Solids of a body and its clothes around a placed skeleton. Knows parts and sizes, no colours.

Sizes are shares of the stature; `unit` (pixels in one stature) turns them into pixels.
"""

import functools

import numpy as np

from edge.synth.body import Joint
from edge.synth.head import head_solids
from edge.synth.linear import f32
from edge.synth.parts import Part, PlacedSkeleton
from edge.synth.solid import TILE, Ellipsoid, Limb, Loft, Solid
from edge.synth.wardrobe import Look, Material
from edge.types import F32

_STATIONS = 24
_SECTIONS = 192


def solids(view: PlacedSkeleton, look: Look) -> list[Solid]:
    """Return all solids of one person, in no particular order."""
    found: list[Solid] = [*_trunk(view, look), *head_solids(view, look)]
    for right in (0, 1):
        found += [*_arm(view, look, right), *_leg(view, look, right)]
    if look.lower == "skirt":
        found.append(_skirt(view, look))
    if look.backpack:
        found.append(_backpack(view))
    return found


def _limb(
    view: PlacedSkeleton, part: int, joints: tuple[int, int], radii: F32, materials: F32
) -> Limb:
    start, end = (view.points[joint] for joint in joints)
    return Limb(part, start, end, radii, materials, TILE / (0.6 * view.unit))


@functools.cache
def _profile(values: tuple[float, ...], count: int) -> F32:
    along = np.linspace(0, 1, count)
    return f32(np.interp(along, np.linspace(0, 1, len(values)), values))


def _clothed(
    flesh: F32, reach: float, loose: float, bare: Material, cloth: Material
) -> tuple[F32, F32]:
    """Return radii and materials of a limb that is clothed up to `reach` (0 to 1) of its length."""
    along = _profile((0.0, 1.0), len(flesh))
    covered = along <= reach
    # loose cloth widens away from the joint, without a bulge at the shoulder or the hip
    radii = np.where(covered, flesh * (1 + (loose - 1) * np.minimum(1, 3 * along)), flesh)
    return radii.astype(np.float32), np.where(covered, cloth, bare).astype(np.float32)


def _arm(view: PlacedSkeleton, look: Look, right: int) -> list[Solid]:
    size = view.unit * look.body.girth**0.7
    upper = _profile((0.028, 0.0305, 0.0275, 0.0235), _STATIONS) * f32(size)
    fore = _profile((0.0235, 0.0245, 0.02, 0.0155), _STATIONS) * f32(size)
    hand = _profile((0.0155, 0.021, 0.021, 0.013), 12) * np.float32(view.unit)
    chain = (
        (Part.L_UPPER_ARM, Joint.L_SHOULDER, Joint.L_ELBOW, upper, look.sleeve),
        (Part.L_FOREARM, Joint.L_ELBOW, Joint.L_WRIST, fore, look.sleeve - 1),
    )
    found: list[Solid] = []
    for part, start, end, flesh, reach in chain:
        radii, materials = _clothed(flesh, reach, look.loose, Material.SKIN, Material.SLEEVE)
        found.append(_limb(view, part + right, (start + right, end + right), radii, materials))
    palm = np.full(12, Material.SKIN, np.float32)
    ends = (Joint.L_WRIST + right, Joint.L_FINGERS + right)
    return [*found, _limb(view, Part.L_HAND + right, ends, hand, palm)]


def _leg(view: PlacedSkeleton, look: Look, right: int) -> list[Solid]:
    size = view.unit * look.body.girth**0.8
    thigh = _profile((0.046, 0.049, 0.045, 0.039, 0.034), _STATIONS) * f32(size)
    shank = _profile((0.034, 0.036, 0.033, 0.027, 0.022), _STATIONS) * f32(size)
    foot = _profile((0.019, 0.023, 0.022, 0.016), 12) * np.float32(view.unit)
    loose = 1 + (look.loose - 1) * (1.0 if look.hem > 1.5 else 0.6)
    hem = 0.15 if look.lower == "skirt" else look.hem
    chain = (
        (Part.L_THIGH, Joint.L_HIP, Joint.L_KNEE, thigh, hem),
        (Part.L_SHANK, Joint.L_KNEE, Joint.L_ANKLE, shank, hem - 1),
    )
    found: list[Solid] = []
    for part, start, end, flesh, reach in chain:
        radii, materials = _clothed(flesh, reach, loose, Material.SKIN, Material.LEGS)
        found.append(_limb(view, part + right, (start + right, end + right), radii, materials))
    shoe = np.full(12, Material.SHOES, np.float32)
    foot_part = Part.L_FOOT + right
    instep = _limb(
        view,
        foot_part,
        (Joint.L_ANKLE + right, Joint.L_TOES + right),
        _profile((0.023, 0.019, 0.015), 12) * np.float32(view.unit),
        shoe,
    )
    return [
        *found,
        instep,
        _limb(view, foot_part, (Joint.L_HEEL + right, Joint.L_TOES + right), foot, shoe),
    ]


def _trunk(view: PlacedSkeleton, look: Look) -> list[Solid]:
    points, unit, body = view.points, view.unit, look.body
    side, up, front = view.chest_axes
    broad = _profile((0, 0.25, 0.65, 1, 1), _SECTIONS)
    scale = body.girth * (body.hips + (body.shoulders - body.hips) * broad) * unit
    hang = _profile((look.hang, look.hang, 0.5 + 0.5 * look.hang, 1, 1, 1, 1), _SECTIONS)
    widths = (0.096, 0.095, 0.09, 0.084, 0.08, 0.083, 0.09, 0.096, 0.099, 0.097, 0.074, 0.036)
    depths = (0.072, 0.071, 0.067, 0.061, 0.058, 0.06, 0.064, 0.067, 0.065, 0.057, 0.045, 0.032)
    trunk = Loft(
        Part.TORSO,
        points[Joint.PELVIS] - up * np.float32(0.026 * unit),
        points[Joint.CHEST] + up * np.float32(0.016 * unit),
        side,
        front,
        _profile(widths, _SECTIONS) * scale * hang,
        _profile(depths, _SECTIONS) * hang * np.float32(body.girth**1.3 * unit),
        Material.SHIRT,
    )
    hips = f32([0.088 * body.hips, 0.062, 0.06 * body.girth**0.3]) * body.girth * unit
    seat = points[Joint.PELVIS] - view.pelvis_axes[1] * np.float32(0.022 * unit)
    collar = np.full(_STATIONS, 0.027 * unit * body.girth**0.5, np.float32)
    slope = _profile((0.03, 0.026, 0.024), _STATIONS) * np.float32(unit * body.girth**0.5)
    cloth = np.full(_STATIONS, Material.SLEEVE, np.float32)
    shoulders = (Joint.L_SHOULDER, Joint.R_SHOULDER)
    neck = Limb(
        Part.NECK,
        points[Joint.CHEST] - up * np.float32(0.02 * unit),
        points[Joint.HEAD] - view.head_axes[1] * np.float32(0.03 * unit),
        np.full(8, 0.031 * unit * body.girth**0.4, np.float32),
        np.full(8, Material.SKIN, np.float32),
        TILE / (0.6 * unit),
    )
    return [
        trunk,
        Ellipsoid(
            Part.TORSO,
            seat,
            (hips[:, None] * view.pelvis_axes).astype(np.float32),
            Material.LEGS,
        ),
        _limb(view, Part.TORSO, shoulders, collar, cloth),
        *(_limb(view, Part.TORSO, (Joint.CHEST, end), slope, cloth) for end in shoulders),
        neck,
    ]


def _skirt(view: PlacedSkeleton, look: Look) -> Loft:
    points, unit = view.points, view.unit
    side, _, front = view.pelvis_axes
    reach = min(look.hem, 1.0)
    thighs = points[Joint.L_KNEE : Joint.R_KNEE + 1] - points[Joint.L_HIP : Joint.R_HIP + 1]
    shanks = points[Joint.L_ANKLE : Joint.R_ANKLE + 1] - points[Joint.L_KNEE : Joint.R_KNEE + 1]
    ends = points[Joint.L_HIP : Joint.R_HIP + 1] + reach * thighs + (look.hem - reach) * shanks
    hem = ends.mean(axis=0)
    spread, step = (abs(float((ends[0] - ends[1]) @ axis)) / 2 for axis in (side, front))
    hips = 0.104 * look.body.hips * look.body.girth * unit
    wide = max(1.2 * hips, spread + 0.055 * unit * look.body.girth)
    deep = max(0.9 * hips, step + 0.062 * unit * look.body.girth)
    return Loft(
        Part.SKIRT,
        points[Joint.PELVIS] + view.pelvis_axes[1] * np.float32(0.03 * unit),
        hem.astype(np.float32),
        side,
        front,
        _profile((0.84 * hips, hips, 0.5 * (hips + wide), wide), _SECTIONS),
        _profile((0.7 * hips, 0.84 * hips, 0.5 * (hips + deep), deep), _SECTIONS),
        Material.LEGS,
    )


def _backpack(view: PlacedSkeleton) -> Ellipsoid:
    _, up, front = view.chest_axes
    share = f32([0.085, 0.135, 0.055]) * np.float32(view.unit)
    middle = view.points[Joint.CHEST] - up * np.float32(0.11 * view.unit)
    centre = middle - front * np.float32(0.095 * view.unit)
    axes = (share[:, None] * view.chest_axes).astype(np.float32)
    return Ellipsoid(Part.BAG, centre.astype(np.float32), axes, Material.EXTRA)
