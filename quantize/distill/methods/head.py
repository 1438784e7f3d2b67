"""Head distillation (DWPose's second stage): a new head on a trained student's own frozen backbone, taught by the old.

arXiv:2307.15880, section 3.2: loss = gamma L_logit with gamma 1, no labels; a fifth of the first run's steps suffices.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from edge.schema import schema_of
from export.models.vit_attention import Attention
from export.registry import Variant
from quantize.distill.backbone_head import Outputs, run_head
from quantize.distill.data.batches import Batch
from quantize.distill.losses.functional import heatmap_mse
from quantize.distill.losses.simcc import simcc_distill_loss
from quantize.distill.losses.terms import PoseLoss, WeightedLoss
from quantize.distill.student import new_student, student_spec
from quantize.distill.teachers.online import OnlineTeacher
from quantize.distill.teachers.teacher import Teacher
from runtimes.codec_spec import Codec, HeatmapCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


class FreshHead(nn.Module):
    """A frozen backbone, always in evaluation mode, and a trained head. Tensors keep the bare student's names."""

    def __init__(self, student: Any) -> None:
        super().__init__()
        self.backbone = student.backbone.requires_grad_(requires_grad=False)
        self.head = student.head
        self.train()

    def train(self, mode: bool = True) -> "FreshHead":  # noqa: FBT001, FBT002 torch's signature
        """Set the head's mode; batch norms of the backbone keep their statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, image: torch.Tensor) -> Outputs:
        """Return the student's outputs."""
        with torch.no_grad():
            maps = self.backbone(image)
        return run_head(self.head, maps)


@dataclass(frozen=True, slots=True)
class MapDistillLoss:
    """MSE of heatmaps against the teacher's for the same crop: MSE(S(X), T(X)) of every keypoint and bin."""

    online: OnlineTeacher

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (predicted,) = outputs
        (target,) = self.online.outputs(batch, predicted.device)
        return heatmap_mse(predicted, target.to(predicted), torch.ones_like(predicted[:, :, 0, 0]))


def fresh_head(teacher: Teacher, variant: Variant, seed: int) -> FreshHead:
    """Return a frozen copy of the teacher's backbone under a head whose initial weights are drawn from the seed.

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


def head_losses(teacher: Teacher, spec: ModelSpec) -> dict[str, WeightedLoss]:
    """Return the only loss of the method `head`, of weight 1.

    KL divergence from the teacher's logits for SimCC, MSE for heatmaps. Raises InputError for other outputs.
    """
    return {"head": WeightedLoss(_loss(OnlineTeacher(teacher, spec), spec))}


def _loss(online: OnlineTeacher, spec: ModelSpec) -> PoseLoss:
    match spec.codec:
        case SimCCCodec():
            return simcc_distill_loss(online, spec, online.teacher.schema)
        case HeatmapCodec():
            return MapDistillLoss(online)
        case _:
            raise InputError(
                f"{spec.model} cannot learn a new head: the method head is for SimCC and heatmaps"
            )


def _difference(teacher: Teacher, student: Any, variant: Variant) -> str:
    """Return in words what distinguishes the teacher from the student; empty if nothing."""
    wanted = student_spec(variant, teacher.spec.model)
    schema = schema_of(variant.schema or "coco17")
    if teacher.module is None:
        return "is an artifact, unlike"
    if type(teacher.module) is not type(student):
        return "is of another family than"
    if teacher.spec.image.wh != wanted.image.wh:
        return "has another input than"
    if teacher.schema.names != schema.names:
        return "has other keypoints than"
    if _without_sigma(teacher.spec.codec) != _without_sigma(wanted.codec):
        return "has other outputs than"
    same = list(_dimensions(teacher.module)) == list(_dimensions(student))
    return "" if same else "is of another size than"


def _without_sigma(codec: Codec) -> Codec:
    """Return the codec without the width of labels, which the new head learns from the old one."""
    named = isinstance(codec, (SimCCCodec, HeatmapCodec))
    return msgspec.structs.replace(codec, sigma=None) if named else codec


def _dimensions(module: Any) -> Iterator[tuple[Any, ...]]:
    """Yield names and shapes of all tensors, and the attention heads, which no tensor shows."""
    for name, value in module.state_dict().items():
        yield name, tuple(value.shape)
    for name, part in module.named_modules():
        if isinstance(part, Attention):
            yield name, part.heads
