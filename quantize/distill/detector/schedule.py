"""The batch schedule of a detector.

Early steps see small inputs, which are cheap; the last ones see pictures as at inference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edge.catalog.specs import PAD_VALUE
from edge.geometry import Size
from edge.types import F32, U8
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.picture_schedule import Phase, PictureSchedule
from quantize.distill.detector.data import DetectionSet, load_sample

EARLY = Augmentation(
    scale=(0.6, 1.7),
    shift=0.8,
    flip_prob=0.5,
    hsv=(5.0, 30.0, 30.0),
    blur_prob=0.1,
    cutout_prob=0.0,
)
LATE = Augmentation(
    scale=(0.9, 1.15),
    shift=0.3,
    flip_prob=0.5,
    hsv=(3.0, 15.0, 15.0),
    blur_prob=0.05,
    cutout_prob=0.0,
)
EARLY_SHARE = 0.77  # of the steps
EARLY_SIZES = (0.6, 0.7)  # of the input's sides
STRIDE = 32

Sample = tuple[U8, F32, int]  # picture, boxes, row


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """A batch: images uint8 BGR (B, H, W, 3), the boxes float32 (N, 4) on each, and each picture's row."""

    images: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DetectorSchedule(PictureSchedule[DetectionSet, Sample, DetectionBatch]):
    """The batches of a detector."""

    def load(
        self, row: int, size: Size, augmentation: Augmentation, rng: np.random.Generator
    ) -> Sample:
        """Return one augmented picture, its boxes and its row."""
        image, boxes = load_sample(self.images, row, size, PAD_VALUE, augmentation, rng)
        return image, boxes, row

    def collate(self, samples: Sequence[Sample]) -> DetectionBatch:
        """Return the batch of these samples."""
        return DetectionBatch(
            torch.from_numpy(np.stack([image for image, _, _ in samples])),
            tuple(torch.from_numpy(boxes) for _, boxes, _ in samples),
            tuple(row for _, _, row in samples),
        )


def default_phases(input_wh: Size) -> tuple[Phase, ...]:
    """Return the shipped detector's phases: small inputs and strong augmentation first, then `input_wh` and weak."""
    small = tuple(
        (_multiple(input_wh[0] * factor), _multiple(input_wh[1] * factor)) for factor in EARLY_SIZES
    )
    return Phase(EARLY_SHARE, small, EARLY), Phase(1.0, (input_wh,), LATE)


def _multiple(side: float) -> int:
    return max(round(side / STRIDE), 1) * STRIDE
