"""Drawn scenes for detectors: none, some or many people in frames of many shapes, rendered once into a folder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from edge.image import write_image
from edge.synth import DrawnVersion, coco_dataset, draw_scene
from runtimes.staging import staging

# Landscape, portrait and square frames, and the range of people in each.
FRAMES = ((480, 360), (512, 288), (640, 480), (416, 416), (360, 480), (288, 512))
PEOPLE: dict[DrawnVersion, tuple[int, int]] = {1: (0, 8), 2: (0, 12)}
FOLDERS: dict[DrawnVersion, str] = {1: "drawn", 2: "drawn-v2"}
ANNOTATIONS = "instances.json"


def draw_pictures(
    folder: Path,
    seed: int,
    count: int,
    progress: Callable[[int, int], None],
    version: DrawnVersion = 1,
) -> Path:
    """Draw `count` scenes and return the path of their COCO file; nothing is done if they exist.

    Picture i depends on (seed, i) and the version alone. progress(done, total). The folder of the pictures appears when
    it is complete.
    """
    target = folder / f"{FOLDERS[version]}-seed{seed}-{count}"
    if (target / ANNOTATIONS).is_file():
        return target / ANNOTATIONS
    with staging(folder) as staged:
        draft = staged / target.name
        (draft / "images").mkdir(parents=True)
        scenes, names = [], []
        for index in range(count):
            rng = np.random.default_rng((seed, index))
            frame_wh = FRAMES[int(rng.integers(len(FRAMES)))]
            scene = draw_scene(int(rng.integers(2**31)), frame_wh, PEOPLE[version], version)
            names.append(f"{index:06d}.jpg")
            write_image(draft / "images" / names[-1], scene.image)
            # the pixels are on disk: only their shape is still needed
            scenes.append(replace(scene, image=np.broadcast_to(np.uint8(0), scene.image.shape)))
            progress(index + 1, count)
        content = msgspec.json.encode(coco_dataset(scenes, names))
        (draft / ANNOTATIONS).write_bytes(content)
        draft.replace(target)
    return target / ANNOTATIONS
