"""People of version 2: seated and mixed poses, close-ups that the frame cuts, and textured clothes."""

from dataclasses import replace

import cv2
import numpy as np

from edge.synth.body import AXIAL, LIMB, limited, pose_angles
from edge.synth.linear import thrice
from edge.synth.motion import sample_pose
from edge.synth.photographic.leaves import scatter
from edge.synth.photographic.palette import sample_palette
from edge.synth.photographic.textures import texture, textured
from edge.synth.scene import SceneSetup
from edge.synth.solid import TILE
from edge.synth.sprite import Sprite, Stance
from edge.synth.wardrobe import Look, Material, sample_look
from edge.types import F32

_SEATED = {"hip_flex": 84, "knee": 82, "hip_abduct": 10, "spine_pitch": 6}
_HANDS: tuple[dict[str, float], ...] = (
    {"shoulder_flex": 38, "shoulder_twist": -22, "elbow": 62},
    {"shoulder_flex": 24, "shoulder_abduct": 14, "elbow": 40},
    {"shoulder_flex": 55, "shoulder_twist": -35, "elbow": 95},
    {"l_shoulder_flex": 40, "l_elbow": 130, "r_shoulder_flex": 30, "r_elbow": 70},
)
_CLOTHS = (Material.SLEEVE, Material.SHIRT, Material.LEGS, Material.EXTRA)


def sample_people_pose(rng: np.random.Generator) -> tuple[F32, float]:
    """Draw joint angles float32 (24,) and the height of the feet in metres: seated, mixed, or as version 1 does."""
    kind = rng.random()
    if kind < 0.25:
        hands = _HANDS[int(rng.integers(len(_HANDS)))]
        angles = pose_angles(_SEATED | hands)
        return limited((angles + rng.normal(0, 9, len(angles))).astype(np.float32)), 0.0
    angles, lift_m = sample_pose(rng)
    if kind < 0.6:
        # trunk, left and right limbs of three poses
        others = [sample_pose(rng)[0] for _ in range(2)]
        split = (len(AXIAL), len(AXIAL) + len(LIMB))
        parts = (angles[: split[0]], others[0][split[0] : split[1]], others[1][split[1] :])
        angles = limited(np.concatenate(parts))
    return angles, lift_m


def sample_textured_look(rng: np.random.Generator) -> Look:
    """Draw a body and clothes: version 1's, with wrinkled cloth and skin, and sometimes a printed cloth."""
    look = sample_look(rng)
    atlas = look.atlas.astype(np.float32)
    tiles = atlas.reshape(-1, TILE, TILE, 3)
    if rng.random() < 0.3:
        paint = np.zeros((TILE, TILE, 4), np.uint8)
        paint[:] = 128
        scatter(rng, paint, sample_palette(rng), 120, (4.0, TILE / 4))
        paint[..., 3] //= 4
        printed = textured(rng, paint)
        for material in _CLOTHS if rng.random() < 0.3 else _CLOTHS[:2]:
            tiles[material] = printed
    for material in Material:
        strength = rng.uniform(0.08, 0.28) if material in _CLOTHS else rng.uniform(0.04, 0.12)
        tiles[material] *= thrice(1 + np.float32(strength) * texture(rng, (TILE, TILE)))
    return replace(look, atlas=np.clip(atlas, 0, 255).astype(np.uint8))


def finely_textured(rng: np.random.Generator, sprite: Sprite) -> Sprite:
    """Return the sprite with texture down to single pixels, which the atlas lacks in close-ups, and a soft outline."""
    height, width = sprite.cover.shape
    strength = np.float32(rng.uniform(0.03, 0.13))
    grain = 1 + strength * texture(rng, (width, height))
    colour = cv2.GaussianBlur(sprite.colour * thrice(grain), (3, 3), 0.5)
    return replace(sprite, colour=colour, cover=cv2.GaussianBlur(sprite.cover, (3, 3), 0.5))


def sample_stance(
    rng: np.random.Generator,
    wh: tuple[int, int],
    setup: SceneSetup,
    look: Look,
    share: float,
    column: float,
) -> Stance:
    """Draw a pose at a column (a share of the frame's width); `share`: the stature over the frame's height.

    People larger than the frame are close-ups, cut at the knees, the waist or the chest: their heads are in the frame.
    """
    angles, lift_m = sample_people_pose(rng)
    tall_px = share * wh[1]
    if share > 0.9:
        base_y = float(rng.uniform(0.02, 0.3)) * wh[1] + tall_px
    elif rng.random() < 0.7:
        base_y = setup.horizon_px + setup.height_m * tall_px / look.body.stature_m
    else:
        base_y = float(rng.uniform(0.6 * tall_px, wh[1] + 0.5 * tall_px))
    return Stance(
        angles=angles,
        lift_m=lift_m,
        yaw_deg=float(rng.normal(0, 50) if rng.random() < 0.7 else rng.uniform(-180, 180)),
        tilt_deg=setup.tilt_deg,
        lean_deg=float(rng.normal(0, 6) if rng.random() < 0.88 else rng.uniform(-180, 180)),
        base_xy=(column * wh[0], base_y),
        px_per_m=float(tall_px / look.body.stature_m),
    )
