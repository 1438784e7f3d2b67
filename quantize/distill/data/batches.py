"""Batches of samples: the order of an epoch, drawn from the seed alone, and prefetching threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch

from edge.geometry import Crop
from quantize.distill.data.augment import Augmentation
from quantize.distill.data.samples import Sample, Sampler

PREFETCH = 3  # batches in preparation

K = TypeVar("K")
S = TypeVar("S")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Batch:
    """B crops: images uint8 BGR (B, H, W, 3), xy float32 (B, K, 2) in input pixels, weights float32 (B, K).

    crops, rows and flipped are those of each `Sample`. prepared: what losses computed ahead, by the loss's id.
    """

    images: torch.Tensor
    xy: torch.Tensor
    weights: torch.Tensor
    crops: tuple[Crop, ...]
    rows: tuple[int, ...]
    flipped: tuple[bool, ...]
    prepared: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)


Prepare = Callable[[Batch], None]


@dataclass(frozen=True, slots=True)
class SourceSlice:
    """Rows `first` to `first + count` of one data source, each seen `weight` times an epoch on average."""

    first: int
    count: int
    weight: float = 1.0


def leave_unprepared(batch: Batch) -> None:
    """Leave the targets to the losses."""


def epoch_order(slices: Sequence[SourceSlice], seed: int, epoch: int) -> list[int]:
    """Return the shuffled rows of one epoch; no row repeats before every other row of its slice has come."""
    rng = np.random.default_rng((seed, epoch))
    rows: list[int] = []
    for each in slices:
        wanted = max(round(each.count * each.weight), 1)
        while wanted > 0:
            taken = rng.permutation(each.count)[:wanted]
            rows += (each.first + taken).tolist()
            wanted -= len(taken)
    rng.shuffle(rows)
    return rows


def epoch_steps(slices: Sequence[SourceSlice], batch: int, accumulate: int) -> int:
    """Return the optimizer steps of one epoch, of `accumulate` batches each, at least 1."""
    samples = sum(max(round(each.count * each.weight), 1) for each in slices)
    return max(samples // (batch * accumulate), 1)


def split_into_batches(rows: Sequence[int], size: int) -> list[list[int]]:
    """Cut rows into full batches; the remainder is dropped, unless there are fewer rows than one batch."""
    full = [list(rows[start : start + size]) for start in range(0, len(rows) - size + 1, size)]
    return full or [list(rows)]


def prefetch(
    plan: Iterable[Sequence[K]],
    load: Callable[[K], S],
    finish: Callable[[list[S]], B],
    workers: int = 1,
) -> Iterator[B]:
    """Yield what `finish` makes of the samples of each batch of a plan of keys, in order.

    `workers` threads call `load` and `finish` ahead, so that the caller's thread has nothing to do but train.
    """
    torch.get_num_threads()  # settles this thread's count before the workers set theirs
    with ThreadPoolExecutor(max_workers=workers, initializer=_use_one_thread) as pool:
        loading: deque[list[Future[S]]] = deque()
        finishing: deque[Future[B]] = deque()

        def finish_next() -> None:
            samples = [future.result() for future in loading.popleft()]
            finishing.append(pool.submit(finish, samples))

        for keys in plan:
            loading.append([pool.submit(load, key) for key in keys])
            if len(loading) >= PREFETCH:
                finish_next()
            if len(finishing) > 1:
                yield finishing.popleft().result()
        while loading:
            finish_next()
        while finishing:
            yield finishing.popleft().result()


def pose_batches(
    sampler: Sampler,
    plan: Sequence[Sequence[int]],
    epoch: int,
    augmentation: Augmentation,
    workers: int = 1,
    prepare: Prepare = leave_unprepared,
) -> Iterator[Batch]:
    """Yield the batches of one epoch's plan (rows of the patch cache), augmented and prepared by `workers` threads."""

    def load(row: int) -> Sample:
        return sampler.sample(row, epoch, augmentation)

    def finish(samples: list[Sample]) -> Batch:
        batch = collate(samples)
        prepare(batch)
        return batch

    return prefetch(plan, load, finish, workers)


def _use_one_thread() -> None:
    """Let PyTorch compute in this thread alone: the others' cores train (as torch's own loaders have it)."""
    torch.set_num_threads(1)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch."""
    return Batch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.from_numpy(np.stack([sample.xy for sample in samples])),
        torch.from_numpy(np.stack([sample.weights for sample in samples])),
        tuple(sample.crop for sample in samples),
        tuple(sample.row for sample in samples),
        tuple(sample.flipped for sample in samples),
    )
