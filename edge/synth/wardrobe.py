"""Looks: body, clothes and textures of a drawn person. Knows materials, no poses and no pixels."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from edge.synth.body import Proportions, sample_proportions
from edge.synth.linear import tinted
from edge.synth.texture import (
    HAIR_BGR,
    SKIN_BGR,
    as_atlas,
    cloth,
    cloth_colour,
    face,
    sample_folds,
    sample_pattern,
    shirt_front,
    strands,
)
from edge.types import F32, U8

Hair = Literal["bald", "short", "long", "bun", "tail", "afro"]
Hat = Literal["none", "cap", "beanie", "brim"]
Lower = Literal["trousers", "shorts", "skirt"]

_HAIRS: tuple[Hair, ...] = (
    "bald",
    "short",
    "short",
    "short",
    "long",
    "long",
    "bun",
    "tail",
    "afro",
)
_HATS: tuple[Hat, ...] = ("none",) * 8 + ("cap", "cap", "beanie", "brim")
_LOWERS: tuple[Lower, ...] = ("trousers",) * 5 + ("shorts", "shorts", "skirt")


class Material(IntEnum):
    """Tile of the atlas, from the top."""

    SKIN = 0
    SLEEVE = 1
    SHIRT = 2
    LEGS = 3
    SHOES = 4
    HAIR = 5
    FACE = 6
    EXTRA = 7


@dataclass(frozen=True, slots=True)
class Look:
    """Body and clothes of one person.

    `sleeve`, `hem`: reach of the cloth (0 shoulder or hip, 1 elbow or knee, 2 wrist or ankle). `loose`: girth of cloth
    over the limb's; `hang`: of the shirt's hem over the hips'. `atlas` uint8 (8 * TILE, TILE, 3) BGR by `Material`.
    """

    body: Proportions
    sleeve: float
    lower: Lower
    hem: float
    loose: float
    hang: float
    hair: Hair
    hat: Hat
    backpack: bool
    atlas: U8


def sample_look(rng: np.random.Generator) -> Look:
    """Draw a body and its clothes."""
    body = sample_proportions(rng)
    lower = _LOWERS[rng.integers(len(_LOWERS))]
    hem = {"trousers": 1.95, "shorts": rng.uniform(0.55, 0.95), "skirt": rng.uniform(0.6, 1.3)}
    return Look(
        body=body,
        sleeve=float(rng.choice(np.array([0.05, 0.5, 0.6, 1.2, 1.95, 1.95]))),
        lower=lower,
        hem=float(hem[lower]),
        loose=float(rng.uniform(1.06, 1.32)),
        hang=float(rng.uniform(0.98, 1.22)),
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        hat=_HATS[rng.integers(len(_HATS))],
        backpack=bool(rng.random() < 0.12),
        atlas=_atlas(rng),
    )


def _atlas(rng: np.random.Generator) -> U8:
    skin = SKIN_BGR[rng.integers(len(SKIN_BGR))] * np.float32(rng.uniform(0.92, 1.06))
    hair = HAIR_BGR[rng.integers(len(HAIR_BGR))] * np.float32(rng.uniform(0.85, 1.15))
    top = cloth_colour(rng)
    # sometimes a dress or an overall: the same cloth everywhere
    bottom = top if rng.random() < 0.12 else cloth_colour(rng) * np.float32(0.85)
    folds, pattern = sample_folds(rng), sample_pattern(rng)
    lower_pattern = "plain" if rng.random() < 0.75 else sample_pattern(rng)
    tiles: list[F32] = [
        tinted(0.6 + 0.4 * folds, skin),
        cloth(rng, top, pattern, folds),
        shirt_front(rng, cloth(rng, top, pattern, folds)),
        cloth(rng, bottom, lower_pattern, folds),
        cloth(rng, cloth_colour(rng), "plain", folds),
        strands(rng, hair, folds),
        face(rng, skin, hair),
        cloth(rng, cloth_colour(rng), "plain", folds),
    ]
    return as_atlas(tiles)
