"""The training task of a detector: RTMDet's losses of one batch of pictures."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from edge.catalog.specs import RTMDET_STRIDES
from export.torch_session import normalise
from quantize.distill.detector.losses import detection_losses, gather_predictions
from quantize.distill.detector.schedule import DetectionBatch
from runtimes.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class DetectorTask:
    """A detector trained by quality focal and GIoU loss. image: how pictures are normalised for the network."""

    image: ImageSpec
    fabric: Fabric

    @property
    def loss_names(self) -> tuple[str, ...]:
        """Name of every loss."""
        return ("quality", "giou")

    def losses(
        self, module: nn.Module, batch: DetectionBatch, progress: float
    ) -> dict[str, torch.Tensor]:
        """Return the weighted losses of a batch."""
        device = self.fabric.device
        outputs = module(normalise(batch.images.to(device, non_blocking=True), self.image))
        boxes = [each.to(device) for each in batch.boxes]
        return detection_losses(gather_predictions(outputs, RTMDET_STRIDES), boxes, self._mean)

    def _mean(self, value: torch.Tensor) -> torch.Tensor:
        mean: Any = self.fabric.all_reduce(value, reduce_op="mean")
        return mean
