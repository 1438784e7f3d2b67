"""The training loop: plain, resumable to the bit, and stopped where the numbers are no longer numbers.

Knows neither pictures nor teachers: batches come from an iterator, the loss is a weighted sum of terms.
"""

import csv
import itertools
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from quantize.distill.batches import Batch
from quantize.distill.optim import Average, Rates, parameter_groups, rate_at, set_rate
from quantize.distill.terms import Part, Term
from runtimes.errors import CheckpointError, TrainingError
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
    """A student in training: what a state file holds, and no more."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    average: Average
    done: int = 0

    def save(self, path: Path) -> None:
        """Write the state; the file is whole or is the one before."""
        state = {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
            "done": self.done,
        }
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                torch.save(state, stream)
                stream.flush()
                os.fsync(stream.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def load(self, path: Path) -> None:
        """Go on from a state file; raises CheckpointError where it is damaged or another network's."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.module.load_state_dict(state["module"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average.load_state_dict(state["average"])
            self.done = int(state["done"])
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

    Writes the state and the log into `folder` (process 0 alone). Raises TrainingError where the loss is no number,
    naming the batch; the state on disk is then the last good one.
    """
    module, optimiser = fabric.setup(learner.module, learner.optimiser)
    normalise = _normaliser(image, fabric.device)
    source = iter(batches)
    trim_log(folder / LOG, learner.done)
    while learner.done < settings.steps:
        began = time.perf_counter()
        taken = list(itertools.islice(source, settings.accumulate))
        if not taken:
            break
        terms = _weighted(parts, learner.done / settings.steps)
        found = _step(fabric, module, optimiser, terms, taken, normalise, settings.clip_norm)
        _check(found, taken, learner.done)
        rate = rate_at(learner.done, settings.steps, settings.rates)
        set_rate(learner.optimiser, rate)
        optimiser.step()
        optimiser.zero_grad()
        learner.average.update(learner.module)
        learner.done += 1
        seconds = time.perf_counter() - began
        images = sum(len(batch.rows) for batch in taken) * fabric.world_size
        step = Step(learner.done, sum(found.values()), found, rate, images / seconds)
        if fabric.is_global_zero:
            _log(folder / LOG, step)
            heard(step)
            if learner.done % settings.save_every == 0 or learner.done == settings.steps:
                learner.save(folder / STATE)


def _weighted(parts: Mapping[str, Part], share: float) -> dict[str, tuple[float, Term]]:
    """Return each term and its weight at that share of the training."""
    return {name: (part.weight_at(share), part.term) for name, part in parts.items()}


def _step(
    fabric: Fabric,
    module: Any,
    optimiser: Any,
    terms: Mapping[str, tuple[float, Term]],
    taken: Sequence[Batch],
    normalise: Callable[[torch.Tensor], torch.Tensor],
    clip_norm: float,
) -> dict[str, float]:
    """Add up the gradients of the batches taken; return each weighted term's mean over them and over processes."""
    sums = dict.fromkeys(terms, 0.0)
    for place, batch in enumerate(taken):
        last = place == len(taken) - 1
        with fabric.no_backward_sync(module, enabled=not last):
            outputs = module(normalise(batch.images))
            parts = {
                name: weight * term(outputs, batch)
                for name, (weight, term) in terms.items()
                if weight  # what weighs nothing is not asked
            }
            total = torch.stack(list(parts.values())).sum() / len(taken)
            fabric.backward(total)
        for name, part in parts.items():
            shared: Any = fabric.all_reduce(part.detach(), reduce_op="mean")
            sums[name] += float(shared) / len(taken)
    if clip_norm:
        fabric.clip_gradients(module, optimiser, max_norm=clip_norm, error_if_nonfinite=False)
    return sums


def _check(parts: Mapping[str, float], taken: Sequence[Batch], done: int) -> None:
    wrong = [name for name, value in parts.items() if not math.isfinite(value)]
    if wrong:
        rows = ", ".join(str(row) for batch in taken for row in batch.rows)
        raise TrainingError(
            f"the {wrong[0]} loss of step {done + 1} is no number (people {rows}); the last good state is kept: "
            "go on with --resume and a lower rate, or look at these people's labels"
        )


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
    """Drop lines of steps that a resumed training makes again."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines[1:] if int(line.split(",", 1)[0]) <= done]
    path.write_text("".join(lines[:1] + kept) if done else "")
    if not done:
        path.unlink()


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
