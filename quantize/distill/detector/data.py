"""Training images of a detector: frames placed on the network's input with random size, position, flip and colour.

Boxes are xyxy edges, float32, in pixels of the frame or of the input. Every random number comes from the generator
given.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.evaluation.coco import boxes_xyxy, people_by_image
from edge.evaluation.dataset import Dataset
from edge.geometry import Size
from edge.image import read_image
from edge.types import F32, U8, check_shape
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.batches import SourceSlice
from quantize.distill.data.photometric import distort
from quantize.distill.data.placement import (
    Placement,
    paste_frame,
    place_boxes,
    random_placement,
)

# A person of whom less than this is visible (pixels of the shorter side, fraction of the box) is not to be detected.
MIN_SIDE, MIN_VISIBLE = 4.0, 0.2


@dataclass(frozen=True, slots=True)
class DetectionSet:
    """Pictures on disk, the people's boxes in each, float32 (N, 4), and the slice of each source among them.

    sizes: the annotated size of each picture, None where it is its own.
    """

    paths: tuple[Path, ...]
    boxes: tuple[F32, ...]
    slices: tuple[SourceSlice, ...]
    sizes: tuple[Size | None, ...]


def detection_set(sources: Sequence[tuple[Dataset, float]]) -> DetectionSet:
    """Return the pictures of COCO data sets with their sampling weights, including pictures without people."""
    paths: list[Path] = []
    boxes: list[F32] = []
    sizes: list[Size | None] = []
    slices = []
    for dataset, weight in sources:
        people = people_by_image(dataset.truth)
        slices.append(SourceSlice(len(paths), len(dataset.paths), weight))
        paths += dataset.paths.values()
        boxes += [boxes_xyxy(people[image_id]) for image_id in dataset.paths]
        sizes += map(dataset.size, dataset.paths)
    return DetectionSet(tuple(paths), tuple(boxes), tuple(slices), tuple(sizes))


def place_frame(
    frame: U8, boxes: F32, placement: Placement, input_wh: Size, pad_value: int
) -> tuple[U8, F32]:
    """Return the input uint8 BGR (h, w, 3) and the boxes (M, 4) of the people to detect on it.

    frame: uint8 BGR (H, W, 3); boxes: float32 (N, 4). Boxes are clipped to the input and the frame. A person who is
    hardly visible is painted over: as background it would be a wrong label, as a detection too hard.
    """
    check_shape("boxes", boxes, (None, 4), np.float32)
    image = paste_frame(frame, placement, input_wh, pad_value)
    moved = place_boxes(boxes, (frame.shape[1], frame.shape[0]), placement)
    visible = moved.clip(0, np.tile(np.array(input_wh, np.float32), 2))
    sides = visible[:, 2:] - visible[:, :2]
    share = sides.prod(axis=1) / np.maximum((moved[:, 2:] - moved[:, :2]).prod(axis=1), 1e-6)
    kept = (sides.min(axis=1, initial=np.inf) >= MIN_SIDE) & (share >= MIN_VISIBLE)
    for left, top, right, bottom in visible[~kept].tolist():
        rows, columns = slice(int(top), math.ceil(bottom)), slice(int(left), math.ceil(right))
        image[rows, columns] = pad_value
    return image, visible[kept]


def load_sample(
    images: DetectionSet,
    row: int,
    input_wh: Size,
    pad_value: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> tuple[U8, F32]:
    """Return one augmented picture and the boxes on it; raises SourceError where it cannot be read."""
    frame = read_image(images.paths[row], images.sizes[row])
    placement = random_placement((frame.shape[1], frame.shape[0]), input_wh, augmentation, rng)
    image, boxes = place_frame(frame, images.boxes[row], placement, input_wh, pad_value)
    return distort(image, augmentation, rng), boxes
