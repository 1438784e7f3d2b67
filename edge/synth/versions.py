"""Scenes by version of the generator: the version, the seed and the other arguments decide every pixel.

Version 1, plain scenes, is that of the gate, the demo and the fixed test sets. Version 2 has the textures, the clutter,
the occlusion and the camera of photographs.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from edge.synth.photographic.scene import draw_photographic_scene
from edge.synth.scene import Scene, check_frame, draw_plain_scene
from edge.types import F32, U8

DrawnVersion = Literal[1, 2]
DRAW: dict[DrawnVersion, Callable[[int, tuple[int, int], int | tuple[int, int]], Scene]] = {
    1: draw_plain_scene,
    2: draw_photographic_scene,
}
"""Version -> function of (seed, wh, people)."""


def draw_scene(
    seed: int,
    wh: tuple[int, int] = (640, 480),
    people: int | tuple[int, int] = (1, 4),
    version: DrawnVersion = 1,
) -> Scene:
    """Draw one scene, the same for the same arguments.

    `people`: their number, or (fewest, most); their `person_id` is 0, 1, ... A crowded scene may have fewer: people who
    would be mostly hidden are left out.
    Raises InputError where the frame is smaller than 32 x 32 or the number of people is negative.
    """
    return DRAW[version](seed, wh, people)


def draw_crops(seed: int, count: int) -> list[tuple[U8, F32]]:
    """Return the first `count` of `iterate_crops`."""
    return list(itertools.islice(iterate_crops(seed), count))


def iterate_crops(seed: int) -> Iterator[tuple[U8, F32]]:
    """Yield, without end, a scene's image uint8 (480, 640, 3) BGR and its largest person's box float32 (4,) xyxy.

    Raises InputError where the seed is negative.
    """
    check_frame(seed, (640, 480))
    root = np.random.SeedSequence(seed)
    while True:
        scene = draw_scene(int(root.spawn(1)[0].generate_state(1)[0]))
        if scene.people:
            largest = max(scene.people, key=lambda person: person.area)
            yield scene.image, largest.box
