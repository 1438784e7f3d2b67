"""A whole picture on the network's input: random size, position and flip around the placement used at inference."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.geometry import Size, letterbox_wh
from edge.types import F32, U8, Indices
from quantize.distill.data.augment import Augmentation

# Share of the free space that lies left of and above the frame at inference, by the spec's kind of crop.
ANCHORS = {"letterbox": 0.0, "letterbox-centre": 0.5}


@dataclass(frozen=True, slots=True)
class Placement:
    """A frame's place on the input: resized to `size`, flipped or not, its top left at `corner`, in whole pixels.

    Whatever lies outside the input is cut off.
    """

    size: Size
    corner: tuple[int, int] = (0, 0)
    flipped: bool = False


def deployed_placement(frame_wh: Size, input_wh: Size, anchor: float = 0.0) -> Placement:
    """Return the placement used at inference: as large as fits, at the top left or, by ANCHORS, in the middle."""
    size = letterbox_wh(frame_wh, input_wh)
    return Placement(size, _anchored(size, input_wh, anchor))


def random_placement(
    frame_wh: Size,
    input_wh: Size,
    augmentation: Augmentation,
    rng: np.random.Generator,
    anchor: float = 0.0,
) -> Placement:
    """Return a random placement around the one used at inference.

    `augmentation.scale` bounds the factor on its size, log-uniform; `augmentation.shift` is the probability of a random
    position instead of the anchor; `augmentation.flip_prob` that of a flip.
    """
    width, height = letterbox_wh(frame_wh, input_wh)
    low, high = np.log(augmentation.scale)
    factor = math.exp(rng.uniform(low, high))
    moved = rng.random() < augmentation.shift
    flipped = rng.random() < augmentation.flip_prob
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    # free space, or what is cut off, falls on either side
    fraction = rng.random(2)
    left, top = (round(fraction[axis] * (input_wh[axis] - size[axis])) for axis in (0, 1))
    corner = (left, top) if moved else _anchored(size, input_wh, anchor)
    return Placement(size, corner, flipped)


def paste_frame(frame: U8, placement: Placement, input_wh: Size, pad_value: int) -> U8:
    """Return the input uint8 BGR (h, w, 3): the frame (H, W, 3) resized as at inference (bilinear), on padding."""
    scaled = cv2.resize(frame, placement.size, interpolation=cv2.INTER_LINEAR)
    if placement.flipped:
        scaled = scaled[:, ::-1]
    image: U8 = np.full((input_wh[1], input_wh[0], 3), pad_value, np.uint8)
    (left, top), (width, height) = placement.corner, placement.size
    columns = slice(*np.clip((left, left + width), 0, input_wh[0]).tolist())
    rows = slice(*np.clip((top, top + height), 0, input_wh[1]).tolist())
    image[rows, columns] = scaled[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return image


def place_boxes(boxes: F32, frame_wh: Size, placement: Placement) -> F32:
    """Map boxes of the frame, float32 (N, 4) xyxy edges, to the input's pixels, unclipped."""
    if placement.flipped:
        width = frame_wh[0]
        left, top, right, bottom = boxes.T
        boxes = np.stack([width - right, top, width - left, bottom], axis=1)
    factors = np.tile(np.divide(placement.size, frame_wh), 2)
    moved: F32 = (boxes * factors + np.tile(placement.corner, 2)).astype(np.float32)
    return moved


def place_keypoints(
    keypoints: F32, frame_wh: Size, placement: Placement, flip_order: Indices
) -> F32:
    """Map keypoints of the frame, float32 (N, K, 3) as x, y, visibility, to the input's pixels, in the same order.

    Flipped, a keypoint takes its mirrored partner's place. Column 0 of a frame becomes column W - 1.
    """
    if placement.flipped:
        keypoints = keypoints[:, flip_order] * (-1, 1, 1) + (frame_wh[0] - 1, 0, 0)
    factors = np.divide(placement.size, frame_wh)
    moved: F32 = (keypoints * (*factors, 1) + (*placement.corner, 0)).astype(np.float32)
    return moved


def _anchored(size: Size, input_wh: Size, anchor: float) -> tuple[int, int]:
    left, top = (math.floor(anchor * (input_wh[axis] - size[axis])) for axis in (0, 1))
    return left, top
