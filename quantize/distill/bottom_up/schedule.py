"""The batch schedule of a bottom-up model: strong augmentation first, then pictures nearly as at inference."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from edge.geometry import Size
from edge.types import U8
from quantize.distill.bottom_up.data import PeopleSet, load_sample
from quantize.distill.bottom_up.losses import TagPlaces
from quantize.distill.bottom_up.targets import PictureTargets
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.picture_schedule import Phase, PictureSchedule
from runtimes.spec import CropSpec

# Sizes of mmpose's BottomupRandomAffine; no rotation.
EARLY = Augmentation(
    scale=(0.75, 1.5),
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
EARLY_SHARE = 0.8  # of the steps

Sample = tuple[U8, PictureTargets, int]  # picture, targets, row


@dataclass(frozen=True, slots=True)
class BottomUpBatch:
    """A batch of pictures.

    images: uint8 BGR (B, H, W, 3); heatmaps: float32 (B, K, h, w); known: float32 (B, 1, h, w), 0 where heatmaps are
    not learned; places: where the tags of each picture are read; rows: each picture's row.
    """

    images: torch.Tensor
    heatmaps: torch.Tensor
    known: torch.Tensor
    places: tuple[TagPlaces, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class BottomUpSchedule(PictureSchedule[PeopleSet, Sample, BottomUpBatch]):
    """The batches of a bottom-up model. crop: its spec's; stride: input pixels per bin of its maps."""

    crop: CropSpec
    stride: int

    def load(
        self, row: int, size: Size, augmentation: Augmentation, rng: np.random.Generator
    ) -> Sample:
        """Return one augmented picture, its targets and its row."""
        map_wh = (size[0] // self.stride, size[1] // self.stride)
        image, targets = load_sample(self.images, row, size, map_wh, self.crop, augmentation, rng)
        return image, targets, row

    def collate(self, samples: Sequence[Sample]) -> BottomUpBatch:
        """Return the batch of these samples."""
        targets = [each for _, each, _ in samples]
        return BottomUpBatch(
            torch.from_numpy(np.stack([image for image, _, _ in samples])),
            torch.from_numpy(np.stack([each.heatmaps for each in targets])),
            torch.from_numpy(np.stack([each.known for each in targets])),
            tuple(
                TagPlaces(torch.from_numpy(each.bins), torch.from_numpy(each.seen))
                for each in targets
            ),
            tuple(row for _, _, row in samples),
        )


def default_phases(input_wh: Size) -> tuple[Phase, ...]:
    """Return the phases of a run, all of the same input size."""
    return Phase(EARLY_SHARE, (input_wh,), EARLY), Phase(1.0, (input_wh,), LATE)
