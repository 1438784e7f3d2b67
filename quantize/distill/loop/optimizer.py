"""Optimization: AdamW parameter groups, the learning-rate schedule, and the moving average of the weights."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from quantize.distill.config import LrCourse

STEP_DROPS = (170 / 210, 200 / 210)  # of the run


@dataclass(frozen=True, slots=True)
class LrSchedule:
    """Learning rate over the run: linear warm-up, then the course.

    flat-cosine: constant, then half a cosine down to `final` of it; RTMPose (arXiv:2303.07399) stays constant for the
    first half. step: a tenth after each of STEP_DROPS, as ViTPose (arXiv:2212.04246). layer_decay: factor on the
    learning rate from the head to the last transformer block, and from each block to the one below (ViTPose: .75 for
    B), as in the LayerDecayOptimizerConstructor of its authors and of mmpose; 1 for none.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    flat_share: float = 0.5
    final: float = 0.05
    layer_decay: float = 1.0
    course: LrCourse = "flat-cosine"


def lr_factor(step: int, steps: int, schedule: LrSchedule) -> float:
    """Return the factor on the learning rate at `step` of `steps`, 0 to 1."""
    warm = min(1.0, (step + 1) / max(schedule.warmup_steps, 1))
    return warm * COURSES[schedule.course](step, steps, schedule)


def _flat_cosine(step: int, steps: int, schedule: LrSchedule) -> float:
    flat_until = schedule.flat_share * steps
    if step <= flat_until:
        return 1.0
    gone = min(1.0, (step - flat_until) / max(steps - flat_until, 1))
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * gone)) / 2


def _step(step: int, steps: int, schedule: LrSchedule) -> float:
    factor: float = 0.1 ** sum(step >= share * steps for share in STEP_DROPS)
    return factor


COURSES: dict[LrCourse, Callable[[int, int, LrSchedule], float]] = {
    "flat-cosine": _flat_cosine,
    "step": _step,
}


def parameter_groups(module: nn.Module, schedule: LrSchedule) -> list[dict[str, Any]]:
    """Return AdamW's groups: no weight decay for vectors (biases, norms) and positions; layer-wise learning rates."""
    depth = max(
        (index for index in map(_block_of, _names(module)) if index is not None), default=-1
    )
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not name.endswith(("pos_embed", "token"))
        scale = schedule.layer_decay ** _layers_below_head(name, depth)
        key = (schedule.weight_decay if decays else 0.0, schedule.lr * scale)
        group = groups.setdefault(
            key, {"params": [], "weight_decay": key[0], "lr": key[1], "base_lr": key[1]}
        )
        group["params"].append(parameter)
    return list(groups.values())


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` of its base."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


class WeightAverage:
    """Exponential moving average of weights and batch norm statistics (mmengine's ExpMomentumEMA).

    The momentum falls from 1 to `momentum` over about `gamma` steps, so that early weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, momentum: float = 2e-4, gamma: float = 2000.0) -> None:
        def average(
            averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor
        ) -> torch.Tensor:
            if not averaged.is_floating_point():
                return current  # counters
            return torch.lerp(
                averaged, current, (1 - momentum) * math.exp(-int(count) / gamma) + momentum
            )

        self._averaged = AveragedModel(module, avg_fn=average, use_buffers=True)
        # at a count of 0 AveragedModel would take the weights after the first step, and the average starts before it
        self._averaged.n_averaged.fill_(1)

    @property
    def state(self) -> Mapping[str, torch.Tensor]:
        """Return the averaged state dict, under the network's own names."""
        state: Mapping[str, torch.Tensor] = self._averaged.module.state_dict()
        return state

    def update(self, module: nn.Module) -> None:
        """Move the average towards the network's current weights."""
        self._averaged.update_parameters(module)

    def to(self, device: torch.device) -> None:
        """Move the average to a device."""
        self._averaged.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"steps": int(self._averaged.n_averaged) - 1, "state": dict(self.state)}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self._averaged.module.load_state_dict(saved["state"])
        self._averaged.n_averaged.fill_(int(saved["steps"]) + 1)


def average_of(module: nn.Module, steps: int, share: float | None) -> WeightAverage:
    """Return the average that is kept: over roughly the last `share` of the steps, 0 for the weights as they are.

    None: the average of edgepose 0.1, whose window is 7 steps at step 4000, for runs that began with it.
    """
    if share is None:
        return WeightAverage(module)
    reach = max(steps * share, 1.0) if share else 1.0
    return WeightAverage(module, momentum=1 / reach, gamma=reach)


def _names(module: nn.Module) -> Iterator[str]:
    return (name for name, _ in module.named_parameters())


def _block_of(name: str) -> int | None:
    """Return the index of the transformer block that a parameter is in."""
    parts = _network_name(name).split(".")
    place = parts.index("layers") if "layers" in parts and parts[0] == "backbone" else -1
    return int(parts[place + 1]) if place >= 0 and parts[place + 1].isdecimal() else None


def _layers_below_head(name: str, depth: int) -> int:
    """Return a parameter's layer, counted from the head's 0: 1 for the last block, blocks + 1 for the embeddings."""
    within = _network_name(name)
    if depth < 0 or not within.startswith("backbone.") or within.startswith("backbone.ln1"):
        return 0
    block = _block_of(name)
    return depth + 2 if block is None else depth - block + 1


def _network_name(name: str) -> str:
    """Return a parameter's name within the network, without the prefixes of modules that wrap it."""
    _, mark, rest = name.partition("backbone.")
    return mark + rest if mark else name
