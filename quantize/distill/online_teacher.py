"""A teacher asked about the very crops a student sees: mirrored, turned and disturbed as they are.

Nothing is kept but what it said of the last batch, which several terms may want.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from edge.geometry import Size
from edge.types import F64
from quantize.distill.backbone_head import Outputs, backbone_of, last_map, read
from quantize.distill.data.batches import Batch
from quantize.distill.teacher import Teacher
from runtimes.errors import InputError
from runtimes.spec import ImageSpec, ModelSpec


class Online:
    """A teacher for students of one spec; raises InputError where its input has another aspect than theirs.

    stretch: float64 (2,), pixels of the teacher's input a pixel of the student's spans, (x, y).
    """

    def __init__(self, teacher: Teacher, student: ModelSpec) -> None:
        ours, theirs = student.image.wh, teacher.spec.image.wh
        if ours[0] * theirs[1] != ours[1] * theirs[0]:
            raise InputError(
                f"{teacher.spec.model} looks at {theirs[0]}x{theirs[1]} pixels and the student at {ours[0]}x{ours[1]}; "
                "to be asked about the student's crops the teacher needs their aspect: choose another input size, or "
                "the method heatmap"
            )
        self.teacher = teacher
        self.stretch = stretch_of(student, teacher.spec)
        self._module = teacher.module
        self._batch: Batch | None = None
        self._features: torch.Tensor | None = None
        self._outputs: Outputs | None = None

    def features(self, batch: Batch, device: torch.device) -> torch.Tensor:
        """Return the last map of a PyTorch teacher's backbone, float32 (B, C, h, w), without gradient."""
        self._turn_to(batch)
        if self._features is None:
            images = self._images(batch.images.to(device))
            with torch.no_grad():
                pixels = normalised(images, self.teacher.spec.image)
                self._features = last_map(backbone_of(self._on(device)), pixels)
        return self._features

    def outputs(self, batch: Batch, device: torch.device) -> Outputs:
        """Return its outputs, float32, in the order of its spec, without gradient.

        A PyTorch teacher's head reads the features, so that both cost one pass; an artifact runs where it runs.
        """
        self._turn_to(batch)
        if self._outputs is None:
            if self._module is None:
                self._outputs = self._run(batch, device)
            else:
                features = self.features(batch, device)
                with torch.no_grad():
                    self._outputs = read(self._on(device).head, features)
        return self._outputs

    def _run(self, batch: Batch, device: torch.device) -> Outputs:
        spec = self.teacher.spec
        images = np.ascontiguousarray(self._images(batch.images.cpu()).numpy())
        found = self.teacher.session.run({spec.inputs[0].name: images})
        return tuple(torch.from_numpy(found[each.name]).to(device) for each in spec.outputs)

    def _images(self, images: torch.Tensor) -> torch.Tensor:
        wh = self.teacher.spec.image.wh
        return images if images.shape[2:0:-1] == wh else resized(images, wh, self.stretch)

    def _on(self, device: torch.device) -> Any:
        """Return the network on that device; a copy where it was elsewhere, as the teacher's session has the other."""
        if next(self._module.parameters()).device != device:
            self._module = copy.deepcopy(self._module).to(device)
        return self._module

    def _turn_to(self, batch: Batch) -> None:
        if batch is not self._batch:
            self._batch, self._features, self._outputs = batch, None, None


def stretch_of(student: ModelSpec, teacher: ModelSpec) -> F64:
    """Return how many pixels of the teacher's crop a pixel of the student's spans, for crops of the same region.

    A region spans W pixels of a crop, with UDP W - 1; pixel 0 is pixel 0 either way.
    """
    ours, theirs = (
        np.array(spec.image.wh, np.float64) - int(spec.crop.udp) for spec in (student, teacher)
    )
    ratio: F64 = theirs / ours
    return ratio


def resized(images: torch.Tensor, wh: Size, stretch: F64) -> torch.Tensor:
    """Return crops uint8 BGR (B, H, W, 3) at another size: pixel p shows what pixel p / stretch did, bilinear."""
    height, width = images.shape[1:3]
    x, y = (
        torch.arange(side, dtype=torch.float32, device=images.device) / float(each)
        for side, each in zip(wh, stretch, strict=True)
    )
    across, down = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
    planes = images.permute(0, 3, 1, 2).float()
    found = functional.grid_sample(
        planes, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=True
    )
    return found.round().to(torch.uint8).permute(0, 2, 3, 1)


def normalised(images: torch.Tensor, image: ImageSpec) -> torch.Tensor:
    """Return uint8 BGR (B, H, W, 3) as a network takes them: float32 (B, 3, H, W), on the same device."""
    order = [2, 1, 0] if image.order == "RGB" else [0, 1, 2]
    mean, std = (
        torch.tensor(each, device=images.device).view(1, 3, 1, 1)
        for each in (image.mean, image.std)
    )
    return (images.permute(0, 3, 1, 2)[:, order].float() - mean) / std
