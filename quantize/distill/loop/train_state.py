"""The state of a training run: network, optimizer, averaged weights and step, as saved in state.pt."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantize.distill.loop.optimizer import LrSchedule, WeightAverage, parameter_groups
from runtimes.errors import CheckpointError
from runtimes.files import atomic_file


@dataclass
class TrainState:
    """The content of a state file. precision: the gradient scaler's state; empty in f32 and bf16."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    done: int = 0
    precision: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the state atomically."""
        content = {
            "module": self.module.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "done": self.done,
            "precision": self.precision,
        }
        with atomic_file(path) as stream:
            torch.save(content, stream)

    def load(self, path: Path) -> None:
        """Continue from a state file; raises CheckpointError where it is damaged or another network's."""
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self.module.load_state_dict(content["module"])
            self.optimizer.load_state_dict(content["optimiser"])
            self.average.load_state_dict(content["average"])
            self.done = int(content["done"])
            self.precision = dict(content["precision"])
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"{path}: cannot be resumed from ({reason}); start again without --resume"
            ) from error

    def move_to(self, device: torch.device) -> None:
        """Move the network and all that belongs to it to a device."""
        self.module.to(device)
        # loading moves the optimizer's state to the device of its parameters
        self.optimizer.load_state_dict(self.optimizer.state_dict())
        self.average.to(device)


def new_train_state(
    module: nn.Module, schedule: LrSchedule, average: WeightAverage | None = None
) -> TrainState:
    """Return the state before the first step, with AdamW; `average` replaces the default moving average."""
    optimizer = torch.optim.AdamW(parameter_groups(module, schedule), lr=schedule.lr)
    return TrainState(module, optimizer, average or WeightAverage(module))
