"""Samples in batches: who comes when, drawn from the seed alone, and prepared by threads while the network learns."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from edge.geometry import Crop
from quantize.distill.data.augment import Strength
from quantize.distill.data.samples import Sample, Sampler

AHEAD = 3  # batches in preparation


@dataclass(frozen=True, slots=True)
class Batch:
    """B crops: images uint8 BGR (B, H, W, 3), xy float32 (B, K, 2) input pixels, weights float32 (B, K).

    crops, rows and mirrored say where each came from; see Sample.
    """

    images: torch.Tensor
    xy: torch.Tensor
    weights: torch.Tensor
    crops: tuple[Crop, ...]
    rows: tuple[int, ...]
    mirrored: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """People `first` to `first + count` of an album, each seen `weight` times an epoch (a fraction: some of them)."""

    first: int
    count: int
    weight: float = 1.0


def order_of(shares: Sequence[Share], seed: int, epoch: int) -> list[int]:
    """Return the rows of one epoch in their order; nobody comes twice before all others of the share have come."""
    rng = np.random.default_rng((seed, epoch))
    rows: list[int] = []
    for share in shares:
        wanted = max(round(share.count * share.weight), 1)
        while wanted > 0:
            taken = rng.permutation(share.count)[:wanted]
            rows += (share.first + taken).tolist()
            wanted -= len(taken)
    rng.shuffle(rows)
    return rows


def batches_of(rows: Sequence[int], size: int) -> list[list[int]]:
    """Cut the rows into batches; what is left over is not used, unless it is all there is."""
    whole = [list(rows[start : start + size]) for start in range(0, len(rows) - size + 1, size)]
    return whole or [list(rows)]


def part_of(batch: Sequence[int], rank: int, world: int) -> list[int]:
    """Return one process' part of a batch: every `world`-th sample."""
    return list(batch[rank::world])


def prepare(
    sampler: Sampler,
    plan: Sequence[Sequence[int]],
    epoch: int,
    strength: Strength,
    workers: int = 1,
) -> Iterator[Batch]:
    """Yield the batches of a plan in order, cut and disturbed by `workers` threads that run ahead."""
    with ThreadPoolExecutor(max_workers=workers) as pool:
        waiting: deque[list[Future[Sample]]] = deque()
        for rows in plan:
            waiting.append([pool.submit(sampler.sample, row, epoch, strength) for row in rows])
            if len(waiting) >= AHEAD:
                yield _gathered(waiting.popleft())
        while waiting:
            yield _gathered(waiting.popleft())


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples."""
    return Batch(
        torch.from_numpy(np.stack([sample.image for sample in samples])),
        torch.from_numpy(np.stack([sample.xy for sample in samples])),
        torch.from_numpy(np.stack([sample.weights for sample in samples])),
        tuple(sample.crop for sample in samples),
        tuple(sample.row for sample in samples),
        tuple(sample.mirrored for sample in samples),
    )


def _gathered(waiting: list[Future[Sample]]) -> Batch:
    return collate([future.result() for future in waiting])
