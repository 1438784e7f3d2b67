"""A teacher that runs on the student's own crops: flipped, rotated and distorted as they are.

Feature maps and outputs of the last batch are kept, since several losses may need them.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from edge.geometry import Size
from edge.types import F64
from export.torch_session import normalise
from quantize.distill.backbone_head import Maps, Outputs, backbone_of, last_map, run_head
from quantize.distill.data.batches import Batch
from quantize.distill.teachers.teacher import Teacher
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


class OnlineTeacher:
    """A teacher for students of one spec; raises InputError where its input has another aspect ratio than theirs.

    scale: float64 (2,), pixels of the teacher's input per pixel of the student's, (x, y).
    """

    def __init__(self, teacher: Teacher, student: ModelSpec) -> None:
        ours, theirs = student.image.wh, teacher.spec.image.wh
        if ours[0] * theirs[1] != ours[1] * theirs[0]:
            raise InputError(
                f"{teacher.spec.model} takes {theirs[0]}x{theirs[1]} and the student {ours[0]}x{ours[1]}; "
                "to run on the student's crops the teacher needs the same aspect ratio: choose another input size, or "
                "the method heatmap"
            )
        self.teacher = teacher
        self.scale = input_scale(student, teacher.spec)
        self._module = teacher.module
        self._batch: Batch | None = None
        self._maps: Maps | None = None
        self._outputs: Outputs | None = None

    def features(self, batch: Batch, device: torch.device) -> torch.Tensor:
        """Return the last feature map of a PyTorch teacher, float32 (B, C, h, w), without gradient."""
        self._select(batch)
        return last_map(self._feature_maps(batch, device))

    def outputs(self, batch: Batch, device: torch.device) -> Outputs:
        """Return the teacher's outputs, float32, in the order of its spec, without gradient.

        A PyTorch teacher's head runs on the cached maps, so that both cost one pass; an artifact runs in its
        engine.
        """
        self._select(batch)
        if self._outputs is None:
            if self._module is None:
                self._outputs = self._run(batch, device)
            else:
                maps = self._feature_maps(batch, device)
                with torch.no_grad():
                    self._outputs = run_head(self._module_on(device).head, maps)
        return self._outputs

    def _feature_maps(self, batch: Batch, device: torch.device) -> Maps:
        if self._maps is None:
            images = self._images(batch.images.to(device))
            with torch.no_grad():
                pixels = normalise(images, self.teacher.spec.image)
                self._maps = backbone_of(self._module_on(device))(pixels)
        return self._maps

    def _run(self, batch: Batch, device: torch.device) -> Outputs:
        spec = self.teacher.spec
        images = np.ascontiguousarray(self._images(batch.images.cpu()).numpy())
        outputs = self.teacher.session.run({spec.inputs[0].name: images})
        return tuple(torch.from_numpy(outputs[each.name]).to(device) for each in spec.outputs)

    def _images(self, images: torch.Tensor) -> torch.Tensor:
        wh = self.teacher.spec.image.wh
        return images if images.shape[2:0:-1] == wh else resize_crops(images, wh, self.scale)

    def _module_on(self, device: torch.device) -> Any:
        """Return the network on that device; a copy if moved, since the teacher's session has the original."""
        if next(self._module.parameters()).device != device:
            self._module = copy.deepcopy(self._module).to(device)
        return self._module

    def _select(self, batch: Batch) -> None:
        if batch is not self._batch:
            self._batch, self._maps, self._outputs = batch, None, None


def input_scale(student: ModelSpec, teacher: ModelSpec) -> F64:
    """Return pixels of the teacher's crop per pixel of the student's, for crops of the same region, (x, y).

    A region spans W pixels of a crop, with UDP W - 1; pixel 0 is the same in both.
    """
    ours, theirs = (
        np.array(spec.image.wh, np.float64) - int(spec.crop.udp) for spec in (student, teacher)
    )
    ratio: F64 = theirs / ours
    return ratio


def resize_crops(images: torch.Tensor, wh: Size, scale: F64) -> torch.Tensor:
    """Return crops uint8 BGR (B, H, W, 3) resized to `wh`: pixel p is the source's pixel p / scale, bilinear."""
    height, width = images.shape[1:3]
    x, y = (
        torch.arange(side, dtype=torch.float32, device=images.device) / float(each)
        for side, each in zip(wh, scale, strict=True)
    )
    across, down = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)
    planes = images.permute(0, 3, 1, 2).float()
    resized = functional.grid_sample(
        planes, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=True
    )
    return resized.round().to(torch.uint8).permute(0, 2, 3, 1)
