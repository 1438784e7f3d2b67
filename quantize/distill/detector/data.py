"""Drawn pictures for a detector: rendered once into a folder, then shown larger, smaller, moved, mirrored, recoloured.

Boxes are xyxy edges, float32, in the pixels of whatever picture they are spoken of with. Every draw comes from the
generator given.
"""

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge.evaluation.coco import Dataset, boxes_xyxy, people_by_image
from edge.geometry import Size, letterbox_wh
from edge.image import read_image, write_image
from edge.synth import coco_dataset, draw_scene
from edge.types import F32, U8, check_shape
from quantize.distill.data.augment import Strength
from quantize.distill.data.photometric import disturb

# Frames as cameras give them, lying, standing and square, and how many people are asked for.
FRAMES = ((480, 360), (512, 288), (640, 480), (416, 416), (360, 480), (288, 512))
PEOPLE = (0, 8)
ANNOTATIONS = "instances.json"
# Less than this of a person, in pixels of the shorter side or as a share of the box, is nobody to be found.
LEAST_SIDE, LEAST_SHARE = 4.0, 0.2


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures on disk and the people's boxes in each, float32 (N, 4)."""

    paths: tuple[Path, ...]
    boxes: tuple[F32, ...]


@dataclass(frozen=True, slots=True)
class Placement:
    """How a frame lies on the input: scaled to `size`, mirrored or not, its left top at `corner`, whole pixels.

    A negative corner, or a size that reaches beyond the input, means that the frame is cut.
    """

    size: Size
    corner: tuple[int, int] = (0, 0)
    mirrored: bool = False


def draw_pictures(
    folder: Path, seed: int, count: int, progress: Callable[[int, int], None]
) -> Path:
    """Draw `count` scenes of 0 to 8 people in frames of many shapes; return the path of their COCO file.

    Picture i follows from (seed, i) alone. Drawn already: nothing is done. The folder appears when it is whole.
    """
    target = folder / f"drawn-seed{seed}-{count}"
    if (target / ANNOTATIONS).is_file():
        return target / ANNOTATIONS
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=folder))
    try:
        (draft / "images").mkdir()
        scenes, names = [], []
        for index in range(count):
            rng = np.random.default_rng((seed, index))
            frame_wh = FRAMES[int(rng.integers(len(FRAMES)))]
            scene = draw_scene(int(rng.integers(2**31)), frame_wh, PEOPLE)
            names.append(f"{index:06d}.jpg")
            write_image(draft / "images" / names[-1], scene.image)
            # its pixels are on disk: what is left is their shape
            scenes.append(replace(scene, image=np.broadcast_to(np.uint8(0), scene.image.shape)))
            progress(index + 1, count)
        content = msgspec.json.encode(coco_dataset(scenes, names))
        (draft / ANNOTATIONS).write_bytes(content)
        draft.chmod(0o755)
        draft.replace(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target / ANNOTATIONS


def gallery_of(dataset: Dataset) -> Gallery:
    """Return the pictures of a COCO file, those without people too."""
    people = people_by_image(dataset.truth)
    boxes = tuple(boxes_xyxy(people[image_id]) for image_id in dataset.paths)
    return Gallery(tuple(dataset.paths.values()), boxes)


def at_rest(frame_wh: Size, input_wh: Size) -> Placement:
    """Return how deployment places a frame: as large as fits, at the left top."""
    return Placement(letterbox_wh(frame_wh, input_wh))


def strayed(
    frame_wh: Size, input_wh: Size, strength: Strength, rng: np.random.Generator
) -> Placement:
    """Return a placement near the deployed one.

    `strength.scale` bounds the factor on its size, drawn evenly in logarithms; `strength.shift` is the share of frames
    that lie anywhere instead of at the left top; `strength.mirror` the share of mirrored ones.
    """
    rest = at_rest(frame_wh, input_wh)
    low, high = np.log(strength.scale)
    factor = math.exp(rng.uniform(low, high))
    moved = rng.random() < strength.shift
    mirrored = rng.random() < strength.mirror
    size = (max(round(rest.size[0] * factor), 1), max(round(rest.size[1] * factor), 1))
    # what is left over, or what is too much, falls to either side
    share = rng.random(2) * moved
    left, top = (round(share[axis] * (input_wh[axis] - size[axis])) for axis in (0, 1))
    return Placement(size, (left, top), mirrored)


def place(
    frame: U8, boxes: F32, placement: Placement, input_wh: Size, pad_value: int
) -> tuple[U8, F32]:
    """Return the input uint8 BGR (h, w, 3) and the boxes (M, 4) of those to be found on it.

    frame: uint8 BGR (H, W, 3); boxes: float32 (N, 4). Boxes end where the input or the frame ends. A person of whom
    hardly anything is left is painted over: to be called background would be wrong, to be found is too much.
    """
    check_shape("boxes", boxes, (None, 4), np.float32)
    image = _pasted(frame, placement, input_wh, pad_value)
    moved = _moved(boxes, (frame.shape[1], frame.shape[0]), placement)
    shown = moved.clip(0, np.tile(np.array(input_wh, np.float32), 2))
    sides = shown[:, 2:] - shown[:, :2]
    share = sides.prod(axis=1) / np.maximum((moved[:, 2:] - moved[:, :2]).prod(axis=1), 1e-6)
    kept = (sides.min(axis=1, initial=np.inf) >= LEAST_SIDE) & (share >= LEAST_SHARE)
    for left, top, right, bottom in shown[~kept].tolist():
        rows, columns = slice(int(top), math.ceil(bottom)), slice(int(left), math.ceil(right))
        image[rows, columns] = pad_value
    return image, shown[kept]


def sample(
    gallery: Gallery,
    row: int,
    input_wh: Size,
    pad_value: int,
    strength: Strength,
    rng: np.random.Generator,
) -> tuple[U8, F32]:
    """Return one picture as training shows it and the boxes on it; raises SourceError where it cannot be read."""
    frame = read_image(gallery.paths[row])
    placement = strayed((frame.shape[1], frame.shape[0]), input_wh, strength, rng)
    image, boxes = place(frame, gallery.boxes[row], placement, input_wh, pad_value)
    return disturb(image, strength, rng), boxes


def _pasted(frame: U8, placement: Placement, input_wh: Size, pad_value: int) -> U8:
    """Scale as deployment does (bilinear), and lay the picture on the padding."""
    scaled = cv2.resize(frame, placement.size, interpolation=cv2.INTER_LINEAR)
    if placement.mirrored:
        scaled = scaled[:, ::-1]
    image: U8 = np.full((input_wh[1], input_wh[0], 3), pad_value, np.uint8)
    (left, top), (width, height) = placement.corner, placement.size
    columns = slice(*np.clip((left, left + width), 0, input_wh[0]).tolist())
    rows = slice(*np.clip((top, top + height), 0, input_wh[1]).tolist())
    image[rows, columns] = scaled[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return image


def _moved(boxes: F32, frame_wh: Size, placement: Placement) -> F32:
    """Take boxes of the frame to the input's pixels, uncut."""
    if placement.mirrored:
        width = frame_wh[0]
        left, top, right, bottom = boxes.T
        boxes = np.stack([width - right, top, width - left, bottom], axis=1)
    factors = np.tile(np.divide(placement.size, frame_wh), 2)
    moved: F32 = (boxes * factors + np.tile(placement.corner, 2)).astype(np.float32)
    return moved
