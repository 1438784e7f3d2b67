"""The training loop: plain, resumable to the bit, and stopped where the numbers are no longer numbers.

Knows neither pictures nor teachers: batches come from an iterator, the loss is a weighted sum of terms.
"""

import csv
import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from quantize.distill.data.batches import Batch
from quantize.distill.errors import told, written
from quantize.distill.losses.terms import Part
from quantize.distill.optimizer import Average, Rates, parameter_groups, rate_at, set_rate
from runtimes.errors import CheckpointError, TrainingError
from runtimes.files import atomic_file
from runtimes.spec import ImageSpec

STATE = "state.pt"
LOG = "log.csv"


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how: optimiser steps, the course of the rate, the average, and how often the state is written."""

    steps: int
    rates: Rates
    accumulate: int = 1
    clip_norm: float = 1.0
    save_every: int = 200
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step came to: the sum, its parts by name, the rate's factor, and samples a second."""

    number: int
    loss: float
    parts: Mapping[str, float]
    rate: float
    images_per_s: float


@dataclass
class Learner:
    """A student in training: what a state file holds, and no more.

    precision: what the scaling of f16's gradients stands at; empty in f32 and bf16.
    """

    module: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average
    done: int = 0
    precision: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the state; the file is whole or is the one before."""
        state = {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "done": self.done,
            "precision": self.precision,
        }
        with atomic_file(path) as stream:
            torch.save(state, stream)

    def move_to(self, device: torch.device) -> None:
        """Bring the network and all that belongs to it to a device."""
        self.module.to(device)
        # loading brings the optimiser's state to where its parameters are now
        self.optimiser.load_state_dict(self.optimiser.state_dict())
        self.average.state = {name: value.to(device) for name, value in self.average.state.items()}

    def load(self, path: Path) -> None:
        """Go on from a state file; raises CheckpointError where it is damaged or another network's."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            self.done = int(state["done"])
            self.precision = dict(state["precision"])
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{path}: cannot be resumed from ({reason}); start again without --resume"
            ) from error


def new_learner(module: nn.Module, rates: Rates) -> Learner:
    """Return a learner at its first step, with AdamW."""
    optimiser = torch.optim.AdamW(parameter_groups(module, rates), lr=rates.lr)
    return Learner(module, optimiser, Average(module))


def train(
    fabric: Fabric,
    learner: Learner,
    parts: Mapping[str, Part],
    batches: Iterable[Batch],
    image: ImageSpec,
    settings: Settings,
    folder: Path,
    heard: Callable[[Step], None],
) -> None:
    """Train until `settings.steps`; `batches` must begin where the learner stands, `accumulate` of them a step.

    Each of several processes is given its own part of every batch, all of them equal (`fabric.share_out`). Process 0
    alone writes the state and the log into `folder`. Raises TrainingError where the loss is no number, naming the
    batch, where memory or the disk is full, or where a worker is lost; the state on disk is then the last good one.
    """
    with told(fabric.world_size):
        loop = _begin(fabric, learner, parts, image, settings)
        source = iter(batches)
        if fabric.is_global_zero:
            with written(folder):
                trim_log(folder / LOG, learner.done)
        while learner.done < settings.steps:
            began = time.perf_counter()
            taken = list(itertools.islice(source, settings.accumulate))
            if not taken:
                break
            found, rate = loop.step(taken)
            seconds = time.perf_counter() - began
            images = sum(len(batch.rows) for batch in taken) * fabric.world_size
            step = Step(learner.done, sum(found.values()), found, rate, images / seconds)
            if fabric.is_global_zero:
                with written(folder):
                    _log(folder / LOG, step)
                    if learner.done % settings.save_every == 0 or learner.done == settings.steps:
                        learner.precision = fabric.strategy.precision.state_dict()
                        learner.save(folder / STATE)
                heard(step)


@dataclass(frozen=True, slots=True)
class _Loop:
    """What stays the same from step to step."""

    fabric: Fabric
    learner: Learner
    module: Any
    optimiser: Any
    parts: Mapping[str, Part]
    normalise: Callable[[torch.Tensor], torch.Tensor]
    settings: Settings

    def step(self, taken: Sequence[Batch]) -> tuple[dict[str, float], float]:
        """Learn from the batches taken; return each weighted part of the loss, and the rate's factor."""
        learner, settings = self.learner, self.settings
        found = self._gradients(taken)
        norm = self.fabric.clip_gradients(
            self.module,
            self.optimiser,
            max_norm=settings.clip_norm or math.inf,
            error_if_nonfinite=False,
        )
        numbers = {f"the {name} loss": value for name, value in found.items()}
        if getattr(self.fabric.strategy.precision, "scaler", None) is None:
            numbers["the gradient"] = float(norm)  # type: ignore[arg-type]  # torch is not followed
        self._check(numbers, taken)
        rate = rate_at(learner.done, settings.steps, settings.rates)
        set_rate(learner.optimiser, rate)
        self.optimiser.step()
        self.optimiser.zero_grad()
        learner.average.update(learner.module)
        learner.done += 1
        return found, rate

    def _gradients(self, taken: Sequence[Batch]) -> dict[str, float]:
        """Add up the gradients of the batches; return each weighted part's mean over them and over processes."""
        share = self.learner.done / self.settings.steps
        weights = {name: part.weight_at(share) for name, part in self.parts.items()}
        sums = dict.fromkeys(self.parts, 0.0)
        for place, batch in enumerate(taken):
            last = place == len(taken) - 1
            with self.fabric.no_backward_sync(self.module, enabled=not last):
                outputs = self.module(self.normalise(batch.images))
                found = {
                    name: weight * self.parts[name].term(outputs, batch)
                    for name, weight in weights.items()
                    if weight  # what weighs nothing is not asked
                }
                total = torch.stack(list(found.values())).sum() / len(taken)
                self.fabric.backward(total)
            for name, part in found.items():
                shared: Any = self.fabric.all_reduce(part.detach(), reduce_op="mean")
                sums[name] += float(shared) / len(taken)
        return sums

    def _check(self, numbers: Mapping[str, float], taken: Sequence[Batch]) -> None:
        wrong = [name for name, value in numbers.items() if not math.isfinite(value)]
        if not wrong:
            return
        own = torch.tensor([row for batch in taken for row in batch.rows])
        everybody: Any = self.fabric.all_gather(own)
        rows = ", ".join(str(row) for row in everybody.flatten().tolist())
        raise TrainingError(
            f"{wrong[0]} of step {self.learner.done + 1} is no number (people {rows}); the last good state is kept: "
            "go on with --resume and a lower rate, or look at these people's labels"
        )


def _begin(
    fabric: Fabric,
    learner: Learner,
    parts: Mapping[str, Part],
    image: ImageSpec,
    settings: Settings,
) -> _Loop:
    learner.move_to(fabric.device)
    module, optimiser = fabric.setup(learner.module, learner.optimiser)
    if learner.precision:
        fabric.strategy.precision.load_state_dict(learner.precision)
    normalise = _normaliser(image, fabric.device)
    return _Loop(fabric, learner, module, optimiser, parts, normalise, settings)


def _normaliser(image: ImageSpec, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what makes uint8 BGR (B, H, W, 3) the network's float32 NCHW."""
    order = [2, 1, 0] if image.order == "RGB" else [0, 1, 2]
    mean = torch.tensor(image.mean, device=device).view(1, 3, 1, 1)
    std = torch.tensor(image.std, device=device).view(1, 3, 1, 1)

    def normalise(images: torch.Tensor) -> torch.Tensor:
        pixels = images.to(device, non_blocking=True).permute(0, 3, 1, 2)[:, order].float()
        return (pixels - mean) / std

    return normalise


def trim_log(path: Path, done: int) -> None:
    """Drop the lines of steps that a resumed training makes again, and one that was cut short.

    Several processes may do so at once: all of them come to the same file.
    """
    if not done:
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    head, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    whole = [
        line for line in lines if line.endswith(b"\n") and line.count(b",") == head.count(b",")
    ]
    kept = [line for line in whole if int(line.split(b",", 1)[0]) <= done]
    with atomic_file(path) as stream:
        stream.write(b"".join([head, *kept]))


def _log(path: Path, step: Step) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["step", "loss", *step.parts, "rate", "images_per_s"])
        values = [step.loss, *step.parts.values(), step.rate]
        writer.writerow(
            [step.number, *(repr(value) for value in values), f"{step.images_per_s:.1f}"]
        )
