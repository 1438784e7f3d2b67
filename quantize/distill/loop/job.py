"""A training job, of a pose student or a detector: trained, validated, and written with its card."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from lightning_fabric import Fabric
from torch import nn

from export.student_file import Card, write_student
from quantize.distill.loop.errors import translate_write_errors
from quantize.distill.loop.optimizer import WeightAverage
from quantize.distill.loop.plots import plot_curves, read_log
from quantize.distill.loop.progress import ProgressListener, step_reporter
from quantize.distill.loop.run_folder import (
    CURVES,
    LOG,
    METRICS,
    RESULT,
    STATE,
    STUDENT,
    append_row,
    trim_log,
    write_json,
)
from quantize.distill.loop.train import B, StepResult, Task, TrainSettings, train
from quantize.distill.loop.train_state import TrainState, new_train_state


class Metrics(Protocol):
    """Metrics on the validation set."""

    @property
    def curves(self) -> dict[str, float | None]:
        """Return the metrics that are followed during training."""

    @property
    def table(self) -> dict[str, float | None]:
        """Return what is shown of them, by column title."""

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics, for JSON."""


M = TypeVar("M", bound=Metrics)
M_co = TypeVar("M_co", bound=Metrics, covariant=True)


@dataclass(frozen=True, slots=True)
class TrainingJob(Generic[B, M]):
    """A network to train, its task and data, and how the result is validated and described.

    module: the network as it is trained; average: the moving average of its weights, None for the default. batches: the
    batches after a step. extract: from a trained state dict to the network that is kept. samples: size of the training
    set by what it holds, for result.json.
    """

    module: nn.Module
    average: WeightAverage | None
    task: Task[B]
    settings: TrainSettings
    batches: Callable[[int], Iterator[B]]
    extract: Callable[[Mapping[str, torch.Tensor]], nn.Module]
    evaluate: Callable[[nn.Module], M]
    card: Card
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingResult(Generic[M_co]):
    """A finished run: the student's file, its metrics on the validation set, and the steps made."""

    student: Path
    metrics: M_co
    steps: int


def run_job(
    job: TrainingJob[B, M],
    folder: Path,
    fabric: Fabric,
    listener: ProgressListener,
    *,
    resume: bool,
) -> TrainingResult[M]:
    """Train in `folder`, or continue there, and write the student; raises TrainingError as `train` does."""
    settings = job.settings
    state = new_train_state(job.module, settings.schedule, job.average)
    if resume and (folder / STATE).exists():
        state.load(folder / STATE)
    trim_log(folder / METRICS, state.done)
    report = step_reporter(listener, "student")

    def on_step(step: StepResult) -> None:
        report(step, settings.steps)
        if step.number % settings.save_every == 0 and step.number < settings.steps:
            with translate_write_errors(folder):
                _validate(job, state, folder, listener)

    train(fabric, state, job.task, job.batches(state.done), settings, folder, on_step)
    metrics: Any = None
    if fabric.is_global_zero:
        with translate_write_errors(folder):
            metrics = _finish(job, state, folder, listener)
    return TrainingResult(folder / STUDENT, fabric.broadcast(metrics), state.done)


def _validate(
    job: TrainingJob[B, M], state: TrainState, folder: Path, listener: ProgressListener
) -> M:
    """Validate the averaged weights and log the metrics."""
    metrics = job.evaluate(job.extract(state.average.state))
    row = {name: "" if value is None else value for name, value in metrics.curves.items()}
    append_row(folder / METRICS, {"step": state.done, **row})
    shown = (
        f"{name} {'-' if value is None else f'{value:.4g}'}"
        for name, value in metrics.table.items()
    )
    listener.say(f"step {state.done}: validation {', '.join(shown)}")
    return metrics


def _finish(
    job: TrainingJob[B, M], state: TrainState, folder: Path, listener: ProgressListener
) -> M:
    """Validate, write the student with its card, and plot the curves."""
    trim_log(folder / METRICS, state.done - 1)
    metrics = _validate(job, state, folder, listener)
    write_student(folder / STUDENT, job.extract(state.average.state), job.card)
    log, curves = read_log(folder / LOG), read_log(folder / METRICS)
    plot_curves(log, curves, folder.name, folder / CURVES)
    write_json(folder / RESULT, {"marks": metrics.to_dict(), "steps": state.done, **job.samples})
    return metrics
