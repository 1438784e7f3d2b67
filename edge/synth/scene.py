"""Scenes of several people with exact ground truth: occlusion, tight boxes, COCO keypoints.

Pixel centres are whole numbers: a keypoint at (x, y) is on pixel [y, x]. Boxes are xyxy edges: a person whose leftmost
column is 3 and rightmost 7 has x0 = 3 and x1 = 8, a width of 5.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.synth.backdrop import draw_backdrop, shadow
from edge.synth.camera import expose, sample_light, sample_sensor
from edge.synth.linear import f32, thrice
from edge.synth.motion import sample_pose
from edge.synth.sprite import Light, Sprite, Stance, draw_sprite
from edge.synth.wardrobe import Look, sample_look
from edge.types import F32, I32, U8, check_shape
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True)
class DrawnPerson:
    """Ground truth of one drawn person.

    `keypoints` float32 (17, 3): x, y, v in COCO's order; v = 2 visible, 1 occluded (by the person, another or an
    object), 0 outside the image with x = y = 0. `box` float32 (4,) xyxy around the visible pixels, `area` their number.
    """

    keypoints: F32
    box: F32
    area: float
    person_id: int

    def __post_init__(self) -> None:
        check_shape("DrawnPerson.keypoints", self.keypoints, (17, 3), np.float32)
        check_shape("DrawnPerson.box", self.box, (4,), np.float32)


@dataclass(frozen=True, slots=True)
class Scene:
    """An image uint8 (H, W, 3) BGR and the people with at least one visible pixel."""

    image: U8
    people: tuple[DrawnPerson, ...]

    def __post_init__(self) -> None:
        check_shape("Scene.image", self.image, (None, None, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Layer:
    """A person's sprite, or an object's (without keypoints, `person_id` -1)."""

    sprite: Sprite
    person_id: int


@dataclass(frozen=True, slots=True)
class Composition:
    """`image` float32 (H, W, 3) before exposure, `owner` int32 (H, W): person_id of each pixel, -1 for none."""

    image: F32
    owner: I32
    people: tuple[DrawnPerson, ...]


def draw_plain_scene(seed: int, wh: tuple[int, int], people: int | tuple[int, int]) -> Scene:
    """Draw one scene of version 1; arguments and errors are those of `edge.synth.draw_scene`."""
    fewest, most = check_scene(seed, wh, people)
    rng = np.random.default_rng(seed)
    setup = sample_setup(rng, wh)
    backdrop = draw_backdrop(rng, wh, int(setup.horizon_px)).astype(np.float32)
    layers: list[tuple[Layer, Stance]] = []
    for person_id in range(int(rng.integers(fewest, most + 1))):
        found = _find_place(rng, wh, setup, [layer for layer, _ in layers])
        if found is not None:
            layers.append((Layer(found[0], person_id), found[1]))
    # far to near
    layers.sort(key=lambda item: item[1].px_per_m)
    for _, stance in layers:
        cast_shadow(backdrop, stance)
    ordered = [layer for layer, _ in layers]
    if ordered and rng.random() < 0.18:
        ordered.append(_occluder(rng, wh, setup.light, ordered))
    composed = compose(backdrop, ordered)
    return Scene(expose(composed.image, sample_sensor(rng), rng), composed.people)


def check_frame(seed: int, wh: tuple[int, int]) -> None:
    """Raise InputError for a negative seed or a frame smaller than 32 x 32."""
    if seed < 0:
        raise InputError(f"seed must not be negative: {seed}")
    if min(wh) < 32:
        raise InputError(f"frame must be at least 32 x 32 pixels: {wh[0]} x {wh[1]}")


def check_scene(seed: int, wh: tuple[int, int], people: int | tuple[int, int]) -> tuple[int, int]:
    """Return the fewest and the most people; raises InputError as `check_frame` does, and where they are impossible."""
    check_frame(seed, wh)
    fewest, most = (people, people) if isinstance(people, int) else people
    if not 0 <= fewest <= most:
        raise InputError(
            f"people must be a number or (fewest, most) with 0 <= fewest <= most: {people}"
        )
    return fewest, most


@dataclass(frozen=True, slots=True)
class SceneSetup:
    """Camera placement (horizon row, height above the floor in metres, tilt) and light."""

    horizon_px: float
    height_m: float
    tilt_deg: float
    light: Light


def sample_setup(rng: np.random.Generator, wh: tuple[int, int]) -> SceneSetup:
    """Draw a camera placement and light for a frame of size `wh`."""
    return SceneSetup(
        horizon_px=float(rng.uniform(0.12, 0.5) * wh[1]),
        height_m=float(rng.uniform(1.1, 2.0)),
        tilt_deg=float(rng.uniform(-4, 16)),
        light=sample_light(rng),
    )


def cast_shadow(backdrop: F32, stance: Stance) -> None:
    """Darken the floor under a person, in place."""
    radius = 0.26 * stance.px_per_m
    shadow(backdrop, stance.base_xy, radius, 0.45 / (1 + 2 * stance.lift_m))


def _find_place(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup, others: list[Layer]
) -> tuple[Sprite, Stance] | None:
    """Try a few places for a new person; None where the frame or other people would hide most of it at each."""
    look = sample_look(rng)
    for _ in range(6):
        stance = _sample_stance(rng, wh, setup, look)
        sprite = draw_sprite(look, stance, setup.light, wh)
        if sprite is not None and _shows_enough(sprite, wh, others):
            return sprite, stance
    return None


def _sample_stance(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup, look: Look
) -> Stance:
    angles, lift_m = sample_pose(rng)
    smallest, largest = 0.125 * wh[1], 0.94 * wh[1]
    tall_px = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
    px_per_m = float(tall_px / look.body.stature_m)
    if rng.random() < 0.7:
        base_y = setup.horizon_px + setup.height_m * px_per_m
    else:
        base_y = rng.uniform(0.75 * tall_px, wh[1] + 0.35 * tall_px)
    return Stance(
        angles=angles,
        lift_m=lift_m,
        yaw_deg=float(rng.normal(0, 50) if rng.random() < 0.6 else rng.uniform(-180, 180)),
        tilt_deg=setup.tilt_deg,
        lean_deg=float(rng.normal(0, 4) if rng.random() < 0.9 else rng.uniform(-80, 80)),
        base_xy=(float(rng.uniform(-0.02, 1.02) * wh[0]), float(base_y)),
        px_per_m=px_per_m,
    )


def _shows_enough(sprite: Sprite, wh: tuple[int, int], others: list[Layer]) -> bool:
    xy = sprite.keypoints
    inside = ((xy >= 0) & (xy < wh)).all(axis=1)
    if inside.sum() < 9:
        return False
    mine = _extent(sprite)
    for layer in others:
        theirs = _extent(layer.sprite)
        overlap = np.minimum(mine[2:], theirs[2:]) - np.maximum(mine[:2], theirs[:2])
        shared = float(np.prod(np.maximum(overlap, 0)))
        smaller = min(float(np.prod(box[2:] - box[:2])) for box in (mine, theirs))
        if shared > 0.45 * smaller:
            return False
    return True


def _extent(sprite: Sprite) -> F32:
    xy = sprite.keypoints
    return np.concatenate([xy.min(axis=0), xy.max(axis=0) + 1])


def _occluder(
    rng: np.random.Generator, wh: tuple[int, int], light: Light, layers: list[Layer]
) -> Layer:
    """Return an object in front of everyone (a table, a post, a sheet) over the lower half of one person."""
    hidden = layers[rng.integers(len(layers))].sprite
    extent = _extent(hidden)
    reach = np.minimum(extent[2:] - extent[:2], np.array(wh) / 2)
    wide, tall = reach * rng.uniform([0.3, 0.15], [2.0, 0.5])
    size = (max(4, int(wide)), max(4, int(tall)))
    centre = hidden.keypoints[rng.integers(9, 17)] + rng.normal(0, 0.1, 2) * reach
    left, top = np.clip(centre - np.divide(size, 2), 0, np.subtract(wh, size))
    cover = np.zeros(size[::-1], np.float32)
    corners = f32([[0, 0], [1, 0], [1, 1], [0, 1]]) * size + rng.normal(0, 0.06, (4, 2)) * size
    cv2.fillPoly(cover, [corners.astype(np.int32)], 1.0)
    tone = np.linspace(1.1, 0.75, size[1], dtype=np.float32)[:, None, None]
    colour = rng.uniform(20, 220, 3).astype(np.float32) * tone * light.tint * cover[..., None]
    nothing = np.zeros((17, 2), np.float32)
    sprite = Sprite(
        (int(left), int(top)), colour.astype(np.float32), cover, nothing, np.zeros(17, bool)
    )
    return Layer(sprite, -1)


def compose(backdrop: F32, layers: list[Layer]) -> Composition:
    """Composite the layers over the backdrop, in place, the nearest last.

    A pixel belongs to the last layer that covers at least half of it.
    """
    owner = np.full(backdrop.shape[:2], -1, np.int32)
    for layer in layers:
        sprite = layer.sprite
        left, top = sprite.left_top
        height, width = sprite.cover.shape
        place = (slice(top, top + height), slice(left, left + width))
        backdrop[place] *= thrice(1 - sprite.cover)
        backdrop[place] += sprite.colour
        np.copyto(owner[place], np.int32(layer.person_id), where=sprite.cover >= 0.5)
    people = (_person(layer, owner) for layer in layers if layer.person_id >= 0)
    return Composition(backdrop, owner, tuple(person for person in people if person is not None))


def _person(layer: Layer, owner: I32) -> DrawnPerson | None:
    """Return the ground truth of one layer, given each pixel's owner; None where no pixel of it is visible."""
    left, top = layer.sprite.left_top
    height, width = layer.sprite.cover.shape
    mine: NDArray[np.bool_] = owner[top : top + height, left : left + width] == layer.person_id
    columns, rows = np.flatnonzero(mine.any(axis=0)), np.flatnonzero(mine.any(axis=1))
    if not columns.size:
        return None
    box = f32([left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1])
    keypoints = np.zeros((17, 3), np.float32)
    shown = zip(layer.sprite.keypoints.tolist(), layer.sprite.visible.tolist(), strict=True)
    for row, ((x, y), visible) in enumerate(shown):
        column, line = round(x), round(y)
        if 0 <= column < owner.shape[1] and 0 <= line < owner.shape[0]:
            seen = visible and owner[line, column] == layer.person_id
            keypoints[row] = x, y, 2 if seen else 1
    return DrawnPerson(keypoints, box, float(mine.sum()), layer.person_id)
