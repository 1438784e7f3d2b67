"""A fresh head on a trained student's own frozen backbone, like the old head (DWPose's second stage).

arXiv:2307.15880, section 3.2: loss = gamma L_logit with gamma 1, no labels; a fifth of the first training suffices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge.schema import load_schema
from export.models.vit import Attention
from export.registry import Variant
from quantize.distill.backbone_head import Outputs, last_map, read
from quantize.distill.data.batches import Batch
from quantize.distill.losses.functional import heatmap_mse
from quantize.distill.losses.simcc import simcc_term
from quantize.distill.losses.terms import Part, Term
from quantize.distill.online_teacher import Online
from quantize.distill.student import new_student, student_spec
from quantize.distill.teacher import Teacher
from runtimes.codec_spec import HeatmapCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


class FreshHead(nn.Module):
    """A frozen backbone, in evaluation mode whoever says `train()`, and a head that learns.

    Tensors keep the names of the bare student.
    """

    def __init__(self, student: Any) -> None:
        super().__init__()
        self.backbone = student.backbone.requires_grad_(requires_grad=False)
        self.head = student.head
        self.train()

    def train(self, mode: bool = True) -> "FreshHead":  # noqa: FBT001, FBT002 torch's signature
        """Turn the head to training or evaluation; batch norms of the backbone keep their statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> Outputs:
        """Return the student's outputs."""
        with torch.no_grad():
            features = last_map(self.backbone, image)
        return read(self.head, features)


@dataclass(frozen=True, slots=True)
class MapsTaught:
    """Heatmaps like the teacher's of the same crop: MSE(S(X), T(X)) of every keypoint and bin."""

    online: Online

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (found,) = outputs
        (wanted,) = self.online.outputs(batch, found.device)
        return heatmap_mse(found, wanted.to(found), torch.ones_like(found[:, :, 0, 0]))


def fresh_head(teacher: Teacher, variant: Variant, seed: int) -> FreshHead:
    """Return the teacher's backbone, a copy and frozen, under a head whose first weights follow from the seed.

    `FreshHead.state_dict()` is the bare student's. Raises InputError unless the teacher is a PyTorch network of exactly
    that variant.
    """
    student = new_student(variant, seed)
    if difference := _difference(teacher, student, variant):
        raise InputError(
            f"{teacher.spec.model} {difference} the student {variant.family}-{variant.size}; the method head needs the "
            "trained student itself as the teacher: give its student.safetensors"
        )
    student.backbone.load_state_dict(teacher.module.backbone.state_dict())
    return FreshHead(student)


def head_parts(teacher: Teacher, spec: ModelSpec) -> dict[str, Part]:
    """Return the method `head`: one part of weight 1, and nothing else is added to it.

    SimCC: KL to the teacher's logits; heatmaps: the mean squared error to its maps. Raises InputError for others.
    """
    online = Online(teacher, spec)
    return {"head": Part(_term(online, spec))}


def _term(online: Online, spec: ModelSpec) -> Term:
    match spec.codec:
        case SimCCCodec():
            return simcc_term(online, spec, online.teacher.schema)
        case HeatmapCodec():
            return MapsTaught(online)
        case _:
            raise InputError(
                f"{spec.model} cannot learn a fresh head: the method head is for SimCC and heatmaps"
            )


def _difference(teacher: Teacher, student: Any, variant: Variant) -> str:
    """Say what tells the teacher from the student it should be; empty where nothing does."""
    wanted = student_spec(variant, teacher.spec.model)
    schema = load_schema(variant.schema or "coco17")
    if teacher.module is None:
        return "is an artifact, unlike"
    if type(teacher.module) is not type(student):
        return "is of another family than"
    if teacher.spec.image.wh != wanted.image.wh:
        return "has another input than"
    if teacher.schema.names != schema.names:
        return "has other keypoints than"
    if teacher.spec.codec != wanted.codec:
        return "has other outputs than"
    same = list(_measures(teacher.module)) == list(_measures(student))
    return "" if same else "is of another size than"


def _measures(module: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the names and shapes of all tensors, and the heads of attention, which no tensor shows."""
    for name, value in module.state_dict().items():
        yield name, tuple(value.shape)
    for name, part in module.named_modules():
        if isinstance(part, Attention):
            yield name, part.heads
