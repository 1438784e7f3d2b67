"""The batch schedule of a pose training run: every step's batches follow from the seed, from any step on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from quantize.distill.config import DistillConfig
from quantize.distill.data.augment import GENTLE, NO_AUGMENTATION, STRONG, WEAK, Augmentation
from quantize.distill.data.batches import (
    Batch,
    Prepare,
    SourceSlice,
    epoch_order,
    epoch_steps,
    leave_unprepared,
    pose_batches,
    split_into_batches,
)
from quantize.distill.data.samples import Sampler
from quantize.distill.loop.distributed import local_batches

AUGMENTATIONS = {"strong": STRONG, "weak": WEAK, "gentle": GENTLE, "still": NO_AUGMENTATION}
# RTMPose switches from strong to weak for the last 30 of 420 epochs (arXiv:2303.07399); short runs need more.
WEAK_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class BatchSchedule:
    """Batches of `batch` people over all processes, `accumulate` of them per optimizer step."""

    slices: tuple[SourceSlice, ...]
    batch: int
    accumulate: int
    steps: int
    augmentation: Augmentation
    seed: int

    def batches(
        self,
        sampler: Sampler,
        done: int,
        fabric: Fabric,
        workers: int,
        prepare: Prepare = leave_unprepared,
    ) -> Iterator[Batch]:
        """Yield this process's part of every batch after step `done`, prepared; raises as `local_batches`."""
        step = done
        weak_from = round(self.steps * (1 - WEAK_SHARE))
        per_epoch = epoch_steps(self.slices, self.batch, self.accumulate)
        while step < self.steps:
            epoch, skipped = divmod(step, per_epoch)
            count = min(per_epoch - skipped, self.steps - step)
            plan = self._plan(epoch)[
                skipped * self.accumulate : (skipped + count) * self.accumulate
            ]
            local = local_batches(plan, fabric)
            cut = min(max(weak_from - step, 0), count) * self.accumulate
            parts = ((local[:cut], self.augmentation), (local[cut:], self._final_augmentation()))
            for part, augmentation in parts:
                yield from pose_batches(sampler, part, epoch, augmentation, workers, prepare)
            step += count

    def _plan(self, epoch: int) -> list[list[int]]:
        """Return an epoch's batches; a set smaller than one step is repeated as often as needed."""
        rows: list[int] = []
        wanted = self.batch * self.accumulate
        while len(rows) < wanted:
            rows += epoch_order(self.slices, self.seed, epoch)
        return split_into_batches(rows, self.batch)

    def _final_augmentation(self) -> Augmentation:
        """Return the augmentation of the last steps: weak after strong, otherwise unchanged."""
        strong = replace(self.augmentation, jitter=STRONG.jitter) == STRONG
        return replace(WEAK, jitter=self.augmentation.jitter) if strong else self.augmentation


def plan_batches(slices: Sequence[SourceSlice], config: DistillConfig) -> BatchSchedule:
    """Return the batch schedule of a training configuration."""
    augmentation = replace(AUGMENTATIONS[config.augment], jitter=config.jitter)
    per_epoch = epoch_steps(slices, config.batch, config.accumulate)
    return BatchSchedule(
        tuple(slices),
        config.batch,
        config.accumulate,
        config.steps or config.epochs * per_epoch,
        augmentation,
        config.seed,
    )
