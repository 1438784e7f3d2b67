"""Steps: which parameters decay how fast, how the learning rate goes, and the running average that is kept.

Laws only: `train` owns the state.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rate's course over `steps`: linear warm-up, flat, then down a half cosine to `final` of it.

    RTMPose (arXiv:2303.07399) stays flat for the first half. layer_decay: each block of a transformer learns by this
    factor slower than the next one (ViTPose: .8 for B); 1 for all alike.
    """

    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 100
    flat_share: float = 0.5
    final: float = 0.05
    layer_decay: float = 1.0


def rate_at(step: int, steps: int, rates: Rates) -> float:
    """Return the factor on the learning rate at `step` of `steps`, 0 to 1."""
    warm = min(1.0, (step + 1) / max(rates.warmup_steps, 1))
    flat_until = rates.flat_share * steps
    if step <= flat_until:
        return warm
    gone = min(1.0, (step - flat_until) / max(steps - flat_until, 1))
    return warm * (rates.final + (1 - rates.final) * (1 + math.cos(math.pi * gone)) / 2)


def parameter_groups(module: nn.Module, rates: Rates) -> list[dict[str, Any]]:
    """Return AdamW's groups: weights decay, vectors (biases, norms) and positions do not; early blocks learn slower."""
    depth = max(
        (index for index in map(_block_of, _names(module)) if index is not None), default=-1
    )
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decays = parameter.ndim > 1 and not name.endswith(("pos_embed", "token"))
        scale = rates.layer_decay ** _above(name, depth)
        key = (rates.weight_decay if decays else 0.0, rates.lr * scale)
        group = groups.setdefault(
            key, {"params": [], "weight_decay": key[0], "lr": key[1], "base_lr": key[1]}
        )
        group["params"].append(parameter)
    return list(groups.values())


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every group's learning rate to `factor` of its own base."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor


class Average:
    """An exponential running average of a network's weights, kept beside it (mmengine's ExpMomentumEMA).

    The momentum grows from 0 to `momentum` over `gamma` steps or so: an average of few steps is no average.
    """

    def __init__(self, module: nn.Module, momentum: float = 2e-4, gamma: float = 2000.0) -> None:
        self._momentum = momentum
        self._gamma = gamma
        self._steps = 0
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module) -> None:
        """Move towards the network's present weights; counters and other integers are copied."""
        kept = (1 - self._momentum) * math.exp(-(1 + self._steps) / self._gamma) + self._momentum
        self._steps += 1
        for name, value in module.state_dict().items():
            average = self.state[name]
            if average.is_floating_point():
                average.lerp_(value.detach(), kept)
            else:
                average.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that resuming needs."""
        return {"steps": self._steps, "state": self.state}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._steps = int(saved["steps"])
        for name, value in saved["state"].items():
            self.state[name].copy_(value)


def _names(module: nn.Module) -> Iterator[str]:
    return (name for name, _ in module.named_parameters())


def _block_of(name: str) -> int | None:
    """Return which of a transformer's blocks a parameter lies in."""
    parts = _within(name).split(".")
    place = parts.index("layers") if "layers" in parts and parts[0] == "backbone" else -1
    return int(parts[place + 1]) if place >= 0 and parts[place + 1].isdecimal() else None


def _above(name: str, depth: int) -> int:
    """Return how many blocks lie above a parameter: 0 for the head, all of them for the patches' embedding."""
    within = _within(name)
    if depth < 0 or not within.startswith("backbone.") or within.startswith("backbone.ln1"):
        return 0
    block = _block_of(name)
    return depth + 1 if block is None else depth - block


def _within(name: str) -> str:
    """Return a parameter's name in the network itself, without whatever is wrapped around that."""
    _, mark, rest = name.partition("backbone.")
    return mark + rest if mark else name
