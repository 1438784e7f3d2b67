"""Scenes of version 2: clutter, furniture behind and before people, close-ups, crowds, and pictures of nobody."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.synth.photographic.backdrop import draw_backdrop
from edge.synth.photographic.camera import photograph
from edge.synth.photographic.palette import sample_palette
from edge.synth.photographic.people import finely_textured, sample_stance, sample_textured_look
from edge.synth.photographic.props import ASPECTS, PLANT, draw_prop
from edge.synth.scene import (
    Layer,
    Scene,
    SceneSetup,
    cast_shadow,
    check_scene,
    compose,
    sample_setup,
)
from edge.synth.sprite import Sprite, Stance, draw_sprite
from edge.types import F32

LEAST_KEYPOINTS = 5  # of a person inside the frame
LEAST_VISIBLE, LEAST_PIXELS = 0.15, 40  # share of a person's pixels in the frame, and their number
_PROPS = (*ASPECTS, PLANT)


@dataclass(frozen=True, slots=True)
class Grouping:
    """Sizes and places of a scene's people: statures log-uniform, as shares of the frame's height, around a column."""

    shares: tuple[float, float]
    column: float
    spread: float


def draw_photographic_scene(seed: int, wh: tuple[int, int], people: int | tuple[int, int]) -> Scene:
    """Draw one scene of version 2; arguments and errors are those of `edge.synth.draw_scene`."""
    fewest, most = check_scene(seed, wh, people)
    rng = np.random.default_rng([seed, 2])
    palette = sample_palette(rng)
    backdrop = draw_backdrop(rng, wh, palette)
    # pictures of few people are frequent, those of many are not
    count = fewest + int((most - fewest + 1) * rng.random() ** 2)
    composed = compose(backdrop, arrange(rng, wh, backdrop, count, palette))
    return Scene(photograph(rng, composed.image), composed.people)


def arrange(
    rng: np.random.Generator, wh: tuple[int, int], backdrop: F32, count: int, palette: F32
) -> list[Layer]:
    """Return furniture and at most `count` people, the nearest last; shadows fall on the backdrop, in place."""
    setup = sample_setup(rng, wh)
    furniture = _furniture(rng, wh, setup, palette)
    return without_hidden([*furniture, *_people(rng, wh, setup, palette, backdrop, count)], wh)


def without_hidden(layers: list[Layer], wh: tuple[int, int]) -> list[Layer]:
    """Return the layers, the nearest last, without people of whom next to nothing is visible."""
    kept: list[Layer] = []
    free: NDArray[np.bool_] = np.ones(wh[::-1], bool)
    for layer in reversed(layers):
        left, top = layer.sprite.left_top
        mine = layer.sprite.cover >= 0.5
        view = free[top : top + mine.shape[0], left : left + mine.shape[1]]
        seen = int((mine & view).sum())
        if layer.person_id >= 0 and seen < max(LEAST_PIXELS, LEAST_VISIBLE * mine.sum()):
            continue
        view &= ~mine
        kept.append(layer)
    return kept[::-1]


def _furniture(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup, palette: F32
) -> list[Layer]:
    """Return objects behind everyone, those on the floor first."""
    found = []
    for _ in range(int(rng.integers(0, 6))):
        kind = str(rng.choice(np.array(_PROPS)))
        tall = rng.uniform(0.1, 0.5) * wh[1]
        wide = tall * ASPECTS.get(kind, 1.0) * np.exp(rng.normal(0, 0.3))
        x, foot = rng.uniform(-0.1, 1.0) * wh[0], setup.horizon_px + rng.uniform(0, 0.6) * wh[1]
        sprite = draw_prop(rng, (x, foot - tall, x + wide, foot), palette, setup.light, wh, kind)
        if sprite is not None:
            found.append(Layer(sprite, -1))
    return found


def _sample_grouping(rng: np.random.Generator, count: int) -> Grouping:
    if count >= 3 and rng.random() < 0.5:
        size = float(rng.uniform(0.25, 1.0))
        return Grouping((0.75 * size, 1.25 * size), float(rng.uniform(0.2, 0.8)), 0.08 * count)
    return Grouping((0.13, 2.2), 0.5, 1.1)


def _people(
    rng: np.random.Generator,
    wh: tuple[int, int],
    setup: SceneSetup,
    palette: F32,
    backdrop: F32,
    count: int,
) -> list[Layer]:
    """Return people from far to near, two in five with an object before them; their shadows fall on the backdrop."""
    grouping = _sample_grouping(rng, count)
    placed: list[tuple[Layer, Stance]] = []
    for person_id in range(count):
        found = _place_person(rng, wh, setup, grouping)
        if found is not None:
            placed.append((Layer(found[0], person_id), found[1]))
    placed.sort(key=lambda item: item[1].px_per_m)
    layers: list[Layer] = []
    for layer, stance in placed:
        cast_shadow(backdrop, stance)
        layers.append(layer)
        if rng.random() < 0.42:
            sprite = _occluder(rng, wh, setup, palette, layer.sprite)
            layers += [] if sprite is None else [Layer(sprite, -1)]
    return layers


def _place_person(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup, grouping: Grouping
) -> tuple[Sprite, Stance] | None:
    """Try a few places; None where the frame would cut off too much at each."""
    look = sample_textured_look(rng)
    low, high = np.log(grouping.shares)
    for _ in range(4):
        share = float(np.exp(rng.uniform(low, high)))
        column = grouping.column + grouping.spread * float(rng.uniform(-0.5, 0.5))
        stance = sample_stance(rng, wh, setup, look, share, column)
        sprite = draw_sprite(look, stance, setup.light, wh)
        if sprite is None:
            continue
        inside = ((sprite.keypoints >= 0) & (sprite.keypoints < wh)).all(axis=1)
        if inside.sum() >= LEAST_KEYPOINTS:
            return finely_textured(rng, sprite), stance
    return None


def _occluder(
    rng: np.random.Generator, wh: tuple[int, int], setup: SceneSetup, palette: F32, hidden: Sprite
) -> Sprite | None:
    """Return an object before a person: from its waist or legs down, or a post or plant across it."""
    low, high = hidden.keypoints.min(axis=0), hidden.keypoints.max(axis=0)
    wide, tall = np.maximum(high - low, 8)
    kind = str(rng.choice(np.array(_PROPS)))
    width = max(wide, 0.4 * tall) * float(np.exp(rng.normal(0.1, 0.5)))
    if kind in {"post", PLANT}:
        width *= 0.4 if kind == "post" else 0.8
        x, y = hidden.keypoints[rng.integers(5, 17)]
        top, bottom = y - rng.uniform(0.2, 1.0) * tall, y + rng.uniform(0.2, 0.6) * tall
    else:
        x = rng.uniform(low[0], high[0])
        top = low[1] + rng.uniform(0.35, 0.85) * tall
        bottom = top + rng.uniform(0.25, 0.9) * tall
    box = (float(x - width / 2), float(top), float(x + width / 2), float(bottom))
    return draw_prop(rng, box, palette, setup.light, wh, kind)
