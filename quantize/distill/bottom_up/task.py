"""The training task of a bottom-up model: heatmap, pull and push loss of one batch of pictures."""

from dataclasses import dataclass

import torch
from torch import nn

from export.torch_session import normalise
from quantize.distill.bottom_up.losses import bottom_up_losses
from quantize.distill.bottom_up.schedule import BottomUpBatch
from runtimes.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class BottomUpTask:
    """A network trained by associative embedding. image: how pictures are normalised for it."""

    image: ImageSpec

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Name of every loss."""
        return ("heatmap", "pull", "push")

    def losses(
        self, module: nn.Module, batch: BottomUpBatch, progress: float
    ) -> dict[str, torch.Tensor]:
        """Return the weighted losses of a batch."""
        device = next(module.parameters()).device
        outputs = module(normalise(batch.images.to(device, non_blocking=True), self.image))
        heatmaps, tags = (each.float() for each in outputs)
        return bottom_up_losses(
            heatmaps,
            tags,
            batch.heatmaps.to(device, non_blocking=True),
            batch.known.to(device, non_blocking=True),
            [each.to(device) for each in batch.places],
        )
