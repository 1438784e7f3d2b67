"""RTMDet learns to find people: batches that follow from seed and step, the loop, and a state that goes on exactly.

One process. Early steps see small inputs, which cost little; the last ones see pictures as deployment shows them.
"""

import csv
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edge.catalog.specs import PAD_VALUE, RTMDET_STRIDES
from edge.types import F32, U8
from export.models.rtmdet import build
from export.registry import Variant
from quantize.distill.data.augment import Strength
from quantize.distill.data.batches import AHEAD, Share, batches_of, order_of
from quantize.distill.detector.data import Gallery, sample
from quantize.distill.detector.losses import detection_losses, found_in
from quantize.distill.optimizer import Average, Rates, parameter_groups, rate_at, set_rate
from quantize.distill.train import LOG, STATE, Learner, trim_log
from runtimes.errors import TrainingError
from runtimes.spec import ImageSpec

HEAD_STD = (
    0.01  # how mmdet begins the last layers: every point says the same, and learns from there
)
AVERAGED_SHARE = 0.05  # of the steps: about how many of the last ones the average weighs
FIRST = Strength(
    scale=(0.6, 1.7), shift=0.8, mirror=0.5, hsv=(5.0, 30.0, 30.0), blurred=0.1, cutout=0.0
)
LAST = Strength(
    scale=(0.9, 1.15), shift=0.3, mirror=0.5, hsv=(3.0, 15.0, 15.0), blurred=0.05, cutout=0.0
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the training: it ends at that `share` of the steps. Each step's input is a square of one side."""

    share: float
    sides: tuple[int, ...]
    strength: Strength


@dataclass(frozen=True, slots=True)
class Settings:
    """How a detector is trained; phases in order, the last one to the end."""

    steps: int
    rates: Rates
    batch: int = 16
    phases: tuple[Phase, ...] = (Phase(0.77, (192, 224), FIRST), Phase(1.0, (320,), LAST))
    clip_norm: float = 10.0
    save_every: int = 200
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Pictures:
    """A batch: images uint8 BGR (B, S, S, 3), the boxes float32 (N, 4) on each, and which pictures they are."""

    images: torch.Tensor
    boxes: tuple[torch.Tensor, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to."""

    number: int
    quality: float
    giou: float
    rate: float
    images_per_s: float


def new_learner(variant: Variant, settings: Settings) -> Learner:
    """Return a fresh detector, its AdamW and its average; the weights follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        module = build(variant).train()
        head = module.bbox_head
        for layer in (*head.rtm_cls, *head.rtm_reg):
            nn.init.normal_(layer.weight, std=HEAD_STD)
    module = module.to(memory_format=torch.channels_last)  # twice as fast on CPUs
    optimiser = torch.optim.AdamW(parameter_groups(module, settings.rates), lr=settings.rates.lr)
    reach = settings.steps * AVERAGED_SHARE
    return Learner(module, optimiser, Average(module, momentum=1 / max(reach, 1), gamma=reach))


def phase_at(step: int, settings: Settings) -> Phase:
    """Return the phase that a step (from 0) lies in."""
    return next(phase for phase in settings.phases if step < phase.share * settings.steps)


def batches(gallery: Gallery, settings: Settings, first: int = 0) -> Iterator[Pictures]:
    """Yield the batches of steps `first` to the end, prepared ahead; each follows from the seed and its step alone."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting: deque[Future[Pictures]] = deque()
        for step in range(first, settings.steps):
            waiting.append(pool.submit(batch_at, gallery, settings, step))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def batch_at(gallery: Gallery, settings: Settings, step: int) -> Pictures:
    """Return one step's pictures; raises SourceError where one cannot be read."""
    phase = phase_at(step, settings)
    side = int(np.random.default_rng((settings.seed, step)).choice(phase.sides))
    rows = _rows_at(len(gallery.paths), settings, step)
    shown: list[tuple[U8, F32]] = []
    for place, row in enumerate(rows):
        rng = np.random.default_rng((settings.seed, step, place))
        shown.append(sample(gallery, row, (side, side), PAD_VALUE, phase.strength, rng))
    images = torch.from_numpy(np.stack([image for image, _ in shown]))
    return Pictures(images, tuple(torch.from_numpy(boxes) for _, boxes in shown), tuple(rows))


def train(
    learner: Learner,
    source: Iterator[Pictures],
    image: ImageSpec,
    settings: Settings,
    folder: Path,
    heard: Callable[[Step], None],
) -> None:
    """Train until the last step; `source` must begin where the learner stands. Writes state and log into `folder`.

    Raises TrainingError where the loss is no number; the state on disk is then the last good one.
    """
    trim_log(folder / LOG, learner.done)
    began = time.perf_counter()
    for pictures in source:
        parts = _learn(learner, pictures, image, settings)
        now = time.perf_counter()
        rate = learner.optimiser.param_groups[0]["lr"]
        speed = len(pictures.rows) / (now - began)
        began = now
        step = Step(learner.done, parts["quality"], parts["giou"], rate, speed)
        _log(folder / LOG, step)
        heard(step)
        if learner.done % settings.save_every == 0 or learner.done == settings.steps:
            learner.save(folder / STATE)


def averaged(learner: Learner, variant: Variant) -> nn.Module:
    """Return the network of the averaged weights, in evaluation mode: the one to keep."""
    module: nn.Module = build(variant)
    module.load_state_dict(learner.average.state)
    return module.eval().requires_grad_(requires_grad=False)


def _learn(
    learner: Learner, pictures: Pictures, image: ImageSpec, settings: Settings
) -> dict[str, float]:
    """Make one step; return the parts of its loss."""
    set_rate(learner.optimiser, rate_at(learner.done, settings.steps, settings.rates))
    outputs = learner.module(_normalised(pictures.images, image))
    parts = detection_losses(found_in(outputs, RTMDET_STRIDES), pictures.boxes)
    values = {name: part.item() for name, part in parts.items()}
    if not all(math.isfinite(value) for value in values.values()):
        rows = ", ".join(map(str, pictures.rows))
        raise TrainingError(
            f"the loss of step {learner.done + 1} is no number (pictures {rows}); the last good state is kept: "
            "go on from it with a lower rate, or look at these pictures' boxes"
        )
    learner.optimiser.zero_grad()
    torch.stack(list(parts.values())).sum().backward()
    nn.utils.clip_grad_norm_(learner.module.parameters(), settings.clip_norm)
    learner.optimiser.step()
    learner.average.update(learner.module)
    learner.done += 1
    return values


def _rows_at(count: int, settings: Settings, step: int) -> list[int]:
    """Return which pictures a step shows: all of them once an epoch, in an order of its own."""
    plan = batches_of(range(count), settings.batch)
    epoch, place = divmod(step, len(plan))
    return batches_of(order_of([Share(0, count)], settings.seed, epoch), settings.batch)[place]


def _normalised(images: torch.Tensor, image: ImageSpec) -> torch.Tensor:
    """Return float32 NCHW, channels last in memory, of uint8 BGR (B, H, W, 3); RTMDet takes BGR."""
    mean, std = torch.tensor(image.mean), torch.tensor(image.std)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


def _log(path: Path, step: Step) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["step", "loss", "quality", "giou", "rate", "images_per_s"])
        values = (step.quality + step.giou, step.quality, step.giou, step.rate)
        writer.writerow([step.number, *(f"{v:.6g}" for v in values), f"{step.images_per_s:.1f}"])
