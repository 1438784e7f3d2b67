"""The training task of pose students: a weighted sum of losses of one crop batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from export.torch_session import normalise
from quantize.distill.data.batches import Batch
from quantize.distill.losses.ahead import prepare
from quantize.distill.losses.terms import WeightedLoss
from runtimes.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class PoseTask:
    """A pose network trained by weighted losses.

    image: how crops are normalised for the network. route: called with a batch before the network is run on it,
    which gives each of several heads its crops.
    """

    image: ImageSpec
    weighted: Mapping[str, WeightedLoss]
    route: Callable[[Batch], None] | None = None

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Name of every loss."""
        return tuple(self.weighted)

    def prepare(self, batch: Batch) -> None:
        """Compute the targets of a batch ahead; called in a loader's thread."""
        for each in self.weighted.values():
            prepare(each.loss, batch)

    def losses(self, module: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:
        """Return the weighted losses of a batch; those of weight 0 are not computed."""
        if self.route is not None:
            self.route(batch)
        device = next(module.parameters()).device
        outputs = module(normalise(batch.images.to(device, non_blocking=True), self.image))
        weights = {name: each.weight_at(progress) for name, each in self.weighted.items()}
        return {
            name: weight * self.weighted[name].loss(outputs, batch)
            for name, weight in weights.items()
            if weight
        }
