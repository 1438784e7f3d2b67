"""The batch schedule of whole pictures: every step's pictures follow from the seed and the step alone."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from lightning_fabric import Fabric

from edge.geometry import Size
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.batches import (
    SourceSlice,
    epoch_order,
    epoch_steps,
    prefetch,
    split_into_batches,
)
from quantize.distill.loop.distributed import local_batches

Key = tuple[int, int, int]  # a sample: step, place in the step, row


class Pictures(Protocol):
    """A training set of whole pictures."""

    @property
    def slices(self) -> tuple[SourceSlice, ...]:
        """The slice of each source among the pictures."""


P = TypeVar("P", bound=Pictures)
S = TypeVar("S")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of the run: it ends at the fraction `until` of the steps; each step draws one of the input `sizes`."""

    until: float
    sizes: tuple[Size, ...]
    augmentation: Augmentation


@dataclass(frozen=True, slots=True)
class PictureSchedule(ABC, Generic[P, S, B]):
    """Batches of `batch` pictures over all processes, `accumulate` of them per step; phases in order, to the end."""

    images: P
    phases: tuple[Phase, ...]
    batch: int
    accumulate: int
    steps: int
    seed: int

    @abstractmethod
    def load(self, row: int, size: Size, augmentation: Augmentation, rng: np.random.Generator) -> S:
        """Return one augmented picture of an input size, with labels; raises SourceError where it cannot be read."""

    @abstractmethod
    def collate(self, samples: Sequence[S]) -> B:
        """Return the batch of these samples."""

    def batches(self, done: int, fabric: Fabric, workers: int) -> Iterator[B]:
        """Yield this process's part of every batch after step `done`, loaded ahead by `workers` threads.

        Raises SourceError where a picture cannot be read, and as `local_batches`.
        """
        plan = (
            local
            for step in range(done, self.steps)
            for local in local_batches(self.keys_at(step), fabric)
        )
        return prefetch(plan, self.sample, self.collate, workers)

    def keys_at(self, step: int) -> list[list[Key]]:
        """Return the samples of a step, in batches: all pictures once an epoch, in an order of its own."""
        per_step = self.batch * self.accumulate
        slices, seed = self.images.slices, self.seed
        epoch, place = divmod(step, epoch_steps(slices, self.batch, self.accumulate))
        rows = split_into_batches(epoch_order(slices, seed, epoch), per_step)[place]
        keys = [(step, place, row) for place, row in enumerate(rows)]
        return [keys[start : start + self.batch] for start in range(0, len(keys), self.batch)]

    def sample(self, key: Key) -> S:
        """Return one augmented picture with its labels, a function of the seed and the key."""
        step, place, row = key
        phase = self.phase_at(step)
        sizes = phase.sizes
        size = sizes[int(np.random.default_rng((self.seed, step)).choice(len(sizes)))]
        rng = np.random.default_rng((self.seed, step, place))
        return self.load(row, size, phase.augmentation, rng)

    def phase_at(self, step: int) -> Phase:
        """Return the phase of a step (from 0)."""
        return next(phase for phase in self.phases if step < phase.until * self.steps)
