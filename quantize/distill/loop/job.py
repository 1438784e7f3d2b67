"""A training job, of a pose student or a detector: trained, validated, and written with its card."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import torch
from lightning_fabric import Fabric
from torch import nn

from export.student_file import Card, write_student
from quantize.distill.config import TrainingConfig
from quantize.distill.loop.distributed import first_state
from quantize.distill.loop.errors import translate_write_errors
from quantize.distill.loop.optimizer import WeightAverage
from quantize.distill.loop.plots import plot_curves, read_log
from quantize.distill.loop.progress import ProgressListener, step_reporter
from quantize.distill.loop.run_folder import (
    BEST,
    BEST_METRICS,
    CURVES,
    LAST,
    LOG,
    METRICS,
    RESULT,
    STATE,
    STUDENT,
    append_row,
    copy_file,
    trim_log,
    write_json,
)
from quantize.distill.loop.selection import best_row, read_rows, validations_since_best
from quantize.distill.loop.tensorboard import Events, open_events
from quantize.distill.loop.train import B, StepResult, Task, TrainSettings, train
from quantize.distill.loop.train_state import TrainState, new_train_state
from runtimes.errors import InputError


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

    module: the network as it is trained; average: the moving average of its weights, which is validated and written.
    batches: the batches after a step. extract: from a trained state dict to the network that is kept. evaluate: called
    by all processes. options: the run's configuration. samples: size of the training set by what it holds, for
    result.json.
    """

    module: nn.Module
    average: WeightAverage
    task: Task[B]
    settings: TrainSettings
    batches: Callable[[int], Iterator[B]]
    extract: Callable[[Mapping[str, torch.Tensor]], nn.Module]
    evaluate: Callable[[nn.Module], M]
    card: Card
    options: TrainingConfig
    samples: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingResult(Generic[M_co]):
    """A finished run: the student's file, the metrics of its weights on the validation set, and the steps made."""

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
    """Train in `folder`, or continue there, and write the student; raises TrainingError as `train` does.

    Raises InputError where more steps are made already than the run shall have.
    """
    settings = job.settings
    module = job.module
    if job.options.batch_norm == "sync":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
    state = new_train_state(module, settings.schedule, job.average)
    if resume and (folder / STATE).exists():
        state.load(folder / STATE)
    if state.done > settings.steps:
        raise InputError(
            f"{folder} has made {state.done} steps already; give --max-steps {state.done} or more"
        )
    trim_log(folder / METRICS, state.done)
    writes_events = job.options.tensorboard and fabric.is_global_zero
    events = open_events(folder, state.done) if writes_events else Events()
    run = _Run(job, state, folder, fabric, listener, events)
    report = step_reporter(listener, "student")

    def on_step(step: StepResult) -> None:
        report(step, settings.steps)
        events.add("loss", {"total": step.loss, **step.losses}, step.number)
        events.add("train", {"lr_factor": step.lr_factor}, step.number)

    if not run.out_of_patience():
        train(
            fabric,
            state,
            job.task,
            job.batches(state.done),
            settings,
            folder,
            on_step,
            run.validate,
        )
    metrics = run.finish()
    events.close()
    return TrainingResult(folder / STUDENT, metrics, state.done)


@dataclass(frozen=True, slots=True)
class _Run(Generic[B, M]):
    """A job in its folder; the methods are called by all processes, and the first one writes."""

    job: TrainingJob[B, M]
    state: TrainState
    folder: Path
    fabric: Fabric
    listener: ProgressListener
    events: Events

    def validate(self) -> bool:
        """Validate, keep the weights if they are the best, and return whether to continue."""
        self._evaluate()
        return not self.out_of_patience()

    def out_of_patience(self) -> bool:
        """Return whether `patience` validations were no better than the best one."""
        patience = self.job.options.patience
        enough = False
        if patience and self.fabric.is_global_zero:
            rows = read_rows(self.folder / METRICS)
            if enough := validations_since_best(rows) >= patience:
                best = rows[best_row(rows)]["step"]
                self.listener.say(
                    f"stopped at step {self.state.done}: {patience} validations without a better one than at step "
                    f"{best} (--patience)"
                )
        return bool(self.fabric.broadcast(enough))

    def finish(self) -> M:
        """Validate the last weights, write the student with its card, plot the curves; return the student's metrics."""
        if self.fabric.is_global_zero:
            trim_log(self.folder / METRICS, self.state.done - 1)
        metrics, network = self._evaluate()
        if self.fabric.is_global_zero:
            with translate_write_errors(self.folder):
                metrics = self._write(metrics, network)
        kept: M = self.fabric.broadcast(metrics)
        return kept

    def _evaluate(self) -> tuple[M, nn.Module]:
        """Return the metrics of the averaged weights and their network, logged, and kept if they are the best."""
        network = self.job.extract(first_state(self.state.average.state, self.fabric))
        metrics = self.job.evaluate(network)
        if self.fabric.is_global_zero:
            with translate_write_errors(self.folder):
                self._log(metrics, network)
        return metrics, network

    def _log(self, metrics: M, network: nn.Module) -> None:
        done, folder = self.state.done, self.folder
        row = {name: "" if value is None else value for name, value in metrics.curves.items()}
        append_row(folder / METRICS, {"step": done, **row})
        self.events.add("validation", metrics.curves, done)
        rows = read_rows(folder / METRICS)
        if best_row(rows) == len(rows) - 1 or not (folder / BEST).exists():
            write_student(folder / BEST, network, self.job.card)
            write_json(folder / BEST_METRICS, {"step": done, "marks": metrics.to_dict()})
        shown = (
            f"{name} {'-' if value is None else f'{value:.4g}'}"
            for name, value in metrics.table.items()
        )
        self.listener.say(f"step {done}: validation {', '.join(shown)}")

    def _write(self, metrics: M, network: nn.Module) -> M:
        """Write the kept weights as the student, and what is reported of them; return their metrics."""
        folder, step = self.folder, self.state.done
        if self.job.options.keep == "best":
            write_student(folder / LAST, network, self.job.card)
            copy_file(folder / BEST, folder / STUDENT)
            best = msgspec.json.decode((folder / BEST_METRICS).read_bytes())
            step, metrics = best["step"], msgspec.convert(best["marks"], type(metrics))
            if step < self.state.done:
                self.listener.say(
                    f"the student has the weights of step {step}, the best validation"
                )
        else:
            write_student(folder / STUDENT, network, self.job.card)
        log, curves = read_log(folder / LOG), read_log(folder / METRICS)
        plot_curves(log, curves, folder.name, folder / CURVES)
        result = {"marks": metrics.to_dict(), "steps": self.state.done, "kept_step": step}
        write_json(folder / RESULT, {**result, **self.job.samples})
        return metrics
