"""The course of a training: which batch comes when, from the first step or any later one, on one process or several."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from quantize.distill.config import Recipe
from quantize.distill.data.augment import AT_REST, GENTLE, STRONG, WEAK, Strength
from quantize.distill.data.batches import Batch, Share, batches_of, order_of, prepare
from quantize.distill.data.samples import Sampler
from quantize.distill.distributed import share_out

VIEWS = {"strong": STRONG, "weak": WEAK, "gentle": GENTLE, "still": AT_REST}
# RTMPose ends strong augmentation with weak for its last 30 of 420 epochs (arXiv:2303.07399); short courses need more.
WEAK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Course:
    """Batches of `batch` people, all processes together, `accumulate` of them a step; `epoch_steps` steps an epoch."""

    shares: tuple[Share, ...]
    batch: int
    accumulate: int
    steps: int
    strength: Strength
    seed: int

    @property
    def epoch_steps(self) -> int:
        """Return how many optimiser steps one round over the data makes, at least 1."""
        return _epoch_steps(self.shares, self.batch, self.accumulate)

    def batches(self, sampler: Sampler, done: int, fabric: Fabric, workers: int) -> Iterator[Batch]:
        """Yield this process' part of every batch from step `done` on, to the last step; raises as `share_out`."""
        step = done
        weak_from = round(self.steps * (1 - WEAK_SHARE))
        while step < self.steps:
            epoch, skipped = divmod(step, self.epoch_steps)
            count = min(self.epoch_steps - skipped, self.steps - step)
            plan = self._plan(epoch)[
                skipped * self.accumulate : (skipped + count) * self.accumulate
            ]
            mine = share_out(plan, fabric)
            cut = min(max(weak_from - step, 0), count) * self.accumulate
            yield from prepare(sampler, mine[:cut], epoch, self.strength, workers)
            yield from prepare(sampler, mine[cut:], epoch, self._end(), workers)
            step += count

    def _plan(self, epoch: int) -> list[list[int]]:
        """Return an epoch's batches; a set smaller than one step's comes as often as it must."""
        rows: list[int] = []
        wanted = self.batch * self.accumulate
        while len(rows) < wanted:
            rows += order_of(self.shares, self.seed, epoch)
        return batches_of(rows, self.batch)

    def _end(self) -> Strength:
        """Return how the last steps' crops stray: where all were strong, weakly."""
        strong = replace(self.strength, jitter=STRONG.jitter) == STRONG
        return replace(WEAK, jitter=self.strength.jitter) if strong else self.strength


def plan_course(shares: Sequence[Share], recipe: Recipe) -> Course:
    """Return the course of a recipe."""
    strength = replace(VIEWS[recipe.views], jitter=recipe.jitter)
    epoch = _epoch_steps(shares, recipe.batch, recipe.accumulate)
    return Course(
        tuple(shares),
        recipe.batch,
        recipe.accumulate,
        recipe.steps or recipe.epochs * epoch,
        strength,
        recipe.seed,
    )


def _epoch_steps(shares: Sequence[Share], batch: int, accumulate: int) -> int:
    people = sum(max(round(share.count * share.weight), 1) for share in shares)
    return max(people // batch // accumulate, 1)
