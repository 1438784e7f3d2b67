"""The batch schedule of a detector: every step's pictures follow from the seed and the step alone.

Early steps see small inputs, which are cheap; the last ones see pictures as at inference.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric

from edge.catalog.specs import PAD_VALUE
from edge.geometry import Size
from edge.types import F32, U8
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.batches import epoch_order, epoch_steps, prefetch, split_into_batches
from quantize.distill.detector.data import DetectionSet, load_sample
from quantize.distill.loop.distributed import local_batches

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

Key = tuple[int, int, int]  # a sample: step, place in the step, row
Sample = tuple[U8, F32, int]  # picture, boxes, row


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the run: it ends at the fraction `until` of the steps; each step draws one of the input `sizes`."""

    until: float
    sizes: tuple[Size, ...]
    augmentation: Augmentation


@dataclass(frozen=True, slots=True)
class DetectionBatch:
    """A batch: images uint8 BGR (B, H, W, 3), the boxes float32 (N, 4) on each, and each picture's row."""

    images: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DetectorSchedule:
    """Batches of `batch` pictures over all processes, `accumulate` of them per step; phases in order, to the end."""

    images: DetectionSet
    phases: tuple[Phase, ...]
    batch: int
    accumulate: int
    steps: int
    seed: int

    def batches(self, done: int, fabric: Fabric, workers: int) -> Iterator[DetectionBatch]:
        """Yield this process's part of every batch after step `done`, loaded ahead by `workers` threads.

        Raises SourceError where a picture cannot be read, and as `local_batches`.
        """
        plan = (
            local
            for step in range(done, self.steps)
            for local in local_batches(self.keys_at(step), fabric)
        )
        return prefetch(plan, self.sample, _collate, workers)

    def keys_at(self, step: int) -> list[list[Key]]:
        """Return the samples of a step, in batches: all pictures once an epoch, in an order of its own."""
        per_step = self.batch * self.accumulate
        slices, seed = self.images.slices, self.seed
        epoch, place = divmod(step, epoch_steps(slices, self.batch, self.accumulate))
        rows = split_into_batches(epoch_order(slices, seed, epoch), per_step)[place]
        keys = [(step, place, row) for place, row in enumerate(rows)]
        return [keys[start : start + self.batch] for start in range(0, len(keys), self.batch)]

    def sample(self, key: Key) -> Sample:
        """Return one augmented picture, its boxes and its row."""
        step, place, row = key
        phase = self.phase_at(step)
        sizes = phase.sizes
        size = sizes[int(np.random.default_rng((self.seed, step)).choice(len(sizes)))]
        rng = np.random.default_rng((self.seed, step, place))
        image, boxes = load_sample(self.images, row, size, PAD_VALUE, phase.augmentation, rng)
        return image, boxes, row

    def phase_at(self, step: int) -> Phase:
        """Return the phase of a step (from 0)."""
        return next(phase for phase in self.phases if step < phase.until * self.steps)


def default_phases(input_wh: Size) -> tuple[Phase, ...]:
    """Return the shipped detector's phases: small inputs and strong augmentation first, then `input_wh` and weak."""
    small = tuple(
        (_multiple(input_wh[0] * factor), _multiple(input_wh[1] * factor)) for factor in EARLY_SIZES
    )
    return Phase(EARLY_SHARE, small, EARLY), Phase(1.0, (input_wh,), LATE)


def _multiple(side: float) -> int:
    return max(round(side / STRIDE), 1) * STRIDE


def _collate(samples: Sequence[Sample]) -> DetectionBatch:
    return DetectionBatch(
        torch.from_numpy(np.stack([image for image, _, _ in samples])),
        tuple(torch.from_numpy(boxes) for _, boxes, _ in samples),
        tuple(row for _, _, row in samples),
    )
