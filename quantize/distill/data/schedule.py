"""The batch schedule of a pose training run: every step's batches follow from the seed, from any step on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lightning_fabric import Fabric

from quantize.distill.config import DistillConfig
from quantize.distill.data.augment import (
    GENTLE,
    NO_AUGMENTATION,
    STRONG,
    WEAK,
    Augmentation,
    HalfBodyMin,
)
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
# RTMPose's augmentation is weak for the last 30 of 420 epochs (arXiv:2303.07399, section 3.2); shorter runs need more.
LONG_EPOCHS, LONG_WEAK_SHARE, WEAK_SHARE = 100, 30 / 420, 0.1
# Format 1 of the configuration shifted every strong view, and took half bodies of 8 keypoints with 3 in either half.
FIRST_HALF_BODY = HalfBodyMin(8, 3, 3)


@dataclass(frozen=True, slots=True)
class Phase:
    """The augmentation from a share of the steps on, up to the next phase."""

    start: float
    augmentation: Augmentation


@dataclass(frozen=True, slots=True)
class BatchSchedule:
    """Batches of `batch` people over all processes, `accumulate` of them per optimizer step."""

    slices: tuple[SourceSlice, ...]
    batch: int
    accumulate: int
    steps: int
    phases: tuple[Phase, ...]
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
        starts = [round(self.steps * each.start) for each in self.phases] + [self.steps]
        per_epoch = epoch_steps(self.slices, self.batch, self.accumulate)
        while step < self.steps:
            epoch, skipped = divmod(step, per_epoch)
            count = min(per_epoch - skipped, self.steps - step)
            plan = self._plan(epoch)[
                skipped * self.accumulate : (skipped + count) * self.accumulate
            ]
            local = local_batches(plan, fabric)
            cuts = [min(max(start - step, 0), count) * self.accumulate for start in starts]
            for phase, first, end in zip(self.phases, cuts, cuts[1:], strict=False):
                part = local[first:end]
                yield from pose_batches(sampler, part, epoch, phase.augmentation, workers, prepare)
            step += count

    def _plan(self, epoch: int) -> list[list[int]]:
        """Return an epoch's batches; a set smaller than one step is repeated as often as needed."""
        rows: list[int] = []
        wanted = self.batch * self.accumulate
        while len(rows) < wanted:
            rows += epoch_order(self.slices, self.seed, epoch)
        return split_into_batches(rows, self.batch)


def plan_batches(slices: Sequence[SourceSlice], config: DistillConfig) -> BatchSchedule:
    """Return the batch schedule of a training configuration."""
    per_epoch = epoch_steps(slices, config.batch, config.accumulate)
    steps = config.steps or config.epochs * per_epoch
    return BatchSchedule(
        tuple(slices),
        config.batch,
        config.accumulate,
        steps,
        augmentation_phases(config, steps / per_epoch),
        config.seed,
    )


def augmentation_phases(config: DistillConfig, epochs: float) -> tuple[Phase, ...]:
    """Return the augmentations of a run of that many epochs, in order; strong ends weak."""
    strength, weak = AUGMENTATIONS[config.augment], WEAK
    if config.format == 1:
        strength, weak = (
            replace(each, shift_prob=1.0, half_body_min=FIRST_HALF_BODY)
            for each in (strength, weak)
        )
    usual = LONG_WEAK_SHARE if epochs >= LONG_EPOCHS and config.format > 1 else WEAK_SHARE
    share = usual if config.weak_share is None else config.weak_share
    weak_start = 1 - share if config.augment == "strong" else 1.0
    starts = sorted({0.0, weak_start, config.jitter_start if config.jitter != "none" else 0.0})
    return tuple(
        Phase(
            start,
            replace(
                strength if start < weak_start else weak,
                jitter=config.jitter if start >= config.jitter_start else "none",
            ),
        )
        for start in starts
        if start < 1
    )
