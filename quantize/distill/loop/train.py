"""The training loop: one loop for every task, bit-exact on resume, stopped by a NaN loss.

The loop knows neither pictures nor teachers: a `Task` turns batches into losses.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from quantize.distill.loop.errors import translate_training_errors, translate_write_errors
from quantize.distill.loop.optimizer import LrSchedule, lr_factor, set_lr
from quantize.distill.loop.run_folder import LOG, STATE, append_row, trim_log
from quantize.distill.loop.train_state import TrainState
from runtimes.errors import TrainingError


class TrainingBatch(Protocol):
    """A batch as the loop sees it."""

    @property
    def rows(self) -> tuple[int, ...]:
        """Row of each sample in the training set, for messages."""


B = TypeVar("B", bound=TrainingBatch)
B_contra = TypeVar("B_contra", bound=TrainingBatch, contravariant=True)


class Task(Protocol[B_contra]):
    """A training task: what the network is trained for."""

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Name of every loss, in the order of the log's columns."""

    def losses(
        self, module: nn.Module, batch: B_contra, progress: float
    ) -> dict[str, torch.Tensor]:
        """Run the network on a batch and return its weighted losses; a loss of weight 0 may be left out.

        progress: the fraction of the run that is done, 0 to 1.
        """


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Length and course of a run: optimizer steps, learning rate, batches per step, clipping.

    save_every, validate_every: steps between saves and validations; a validation, 0 for none, follows a save. seed: of
    the random numbers that the network draws itself.
    """

    steps: int
    schedule: LrSchedule
    accumulate: int = 1
    clip_norm: float = 1.0
    save_every: int = 200
    validate_every: int = 0
    seed: int = 0

    def saves_at(self, step: int) -> bool:
        """Return whether the state is saved after a step."""
        return step % self.save_every == 0 or step == self.steps or self.validates_at(step)

    def validates_at(self, step: int) -> bool:
        """Return whether a validation follows a step; the one after the last is the caller's."""
        due = self.validate_every > 0 and step % self.validate_every == 0
        return due and step < self.steps


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimizer step: the total loss, its weighted parts, the factor on the learning rate, samples per second."""

    number: int
    loss: float
    losses: Mapping[str, float]
    lr_factor: float
    images_per_s: float


def train(
    fabric: Fabric,
    state: TrainState,
    task: Task[B],
    batches: Iterable[B],
    settings: TrainSettings,
    folder: Path,
    on_step: Callable[[StepResult], None],
    validate: Callable[[], bool] = lambda: True,
) -> None:
    """Train until `settings.steps`; `batches` must start at the state's step, `accumulate` of them per step.

    Of several processes each is given its own part of every batch, all of equal size. Process 0 alone writes the state
    and the log into `folder` and calls `on_step`. All call `validate`, and stop where it returns False. Raises
    TrainingError where a loss or gradient is NaN or infinite (naming the batch), memory or the disk is full, or a
    worker is lost; the state on disk is then the last good one.
    """
    with translate_training_errors(fabric.world_size):
        loop = _start(fabric, state, task, settings)
        source = iter(batches)
        if fabric.is_global_zero:
            with translate_write_errors(folder):
                trim_log(folder / LOG, state.done)
        while state.done < settings.steps:
            began = time.perf_counter()
            taken = list(itertools.islice(source, settings.accumulate))
            if not taken:
                break
            losses, factor = loop.step(taken)
            seconds = time.perf_counter() - began
            images = sum(len(batch.rows) for batch in taken) * fabric.world_size
            step = StepResult(state.done, sum(losses.values()), losses, factor, images / seconds)
            if fabric.is_global_zero:
                with translate_write_errors(folder):
                    append_row(folder / LOG, _log_row(step))
                    if settings.saves_at(state.done):
                        state.precision = fabric.strategy.precision.state_dict()
                        state.save(folder / STATE)
                on_step(step)
            if settings.validates_at(state.done) and not validate():
                break


@dataclass(frozen=True, slots=True)
class _Loop(Generic[B]):
    """The objects that every step uses."""

    fabric: Fabric
    state: TrainState
    module: Any
    optimizer: Any
    task: Task[B]
    settings: TrainSettings

    def step(self, batches: Sequence[B]) -> tuple[dict[str, float], float]:
        """Make one optimizer step on the batches; return each weighted loss, and the factor on the learning rate."""
        state, settings = self.state, self.settings
        losses = self._backward(batches)
        norm = self.fabric.clip_gradients(
            self.module,
            self.optimizer,
            max_norm=settings.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        numbers = {f"the {name} loss": value for name, value in losses.items()}
        if getattr(self.fabric.strategy.precision, "scaler", None) is None:
            numbers["the gradient"] = float(norm)  # type: ignore[arg-type]  # torch is not followed
        self._check_finite(numbers, batches)
        factor = lr_factor(state.done, settings.steps, settings.schedule)
        set_lr(state.optimizer, factor)
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.average.update(state.module)
        state.done += 1
        return losses, factor

    def _backward(self, batches: Sequence[B]) -> dict[str, float]:
        """Accumulate the gradients of the batches; return each weighted loss, averaged over them and over processes."""
        progress = self.state.done / self.settings.steps
        sums = dict.fromkeys(self.task.loss_names, 0.0)
        for place, batch in enumerate(batches):
            self._seed(place)
            last = place == len(batches) - 1
            with self.fabric.no_backward_sync(self.module, enabled=not last):
                losses = self.task.losses(self.module, batch, progress)
                total = torch.stack(list(losses.values())).sum() / len(batches)
                self.fabric.backward(total)
            for name, loss in losses.items():
                shared: Any = self.fabric.all_reduce(loss.detach(), reduce_op="mean")
                sums[name] += float(shared) / len(batches)
        return sums

    def _seed(self, place: int) -> None:
        """Let what the network draws itself (drop path) follow from the step alone: a resumed run repeats it."""
        key = (self.settings.seed, self.state.done, place, self.fabric.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))

    def _check_finite(self, numbers: Mapping[str, float], batches: Sequence[B]) -> None:
        wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
        if not wrong:
            return
        own = torch.tensor([row for batch in batches for row in batch.rows])
        gathered: Any = self.fabric.all_gather(own)
        rows = ", ".join(str(row) for row in gathered.flatten().tolist())
        raise TrainingError(
            f"{wrong[0]} of step {self.state.done + 1} is NaN or infinite (samples {rows}); the last good state is "
            "kept: correct the labels of these samples and continue with --resume, or start again in another --out "
            "with a lower --lr"
        )


def _start(fabric: Fabric, state: TrainState, task: Task[B], settings: TrainSettings) -> _Loop[B]:
    state.move_to(fabric.device)
    module, optimizer = fabric.setup(state.module, state.optimizer)
    if state.precision:
        fabric.strategy.precision.load_state_dict(state.precision)
    return _Loop(fabric, state, module, optimizer, task, settings)


def _log_row(step: StepResult) -> dict[str, object]:
    return {
        "step": step.number,
        "loss": repr(step.loss),
        **{name: repr(value) for name, value in step.losses.items()},
        "rate": repr(step.lr_factor),
        "images_per_s": f"{step.images_per_s:.1f}",
    }
