"""Distillation of SimCC outputs: the teacher's logits for the student's own crop, resampled to the student's bins."""

from dataclasses import dataclass

import numpy as np
import torch

from edge.schema import KeypointSchema
from edge.types import F64
from quantize.distill.data.batches import Batch
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints, select
from quantize.distill.losses.functional import simcc_kl
from quantize.distill.losses.terms import Outputs, WeightedLoss
from quantize.distill.teachers.online import OnlineTeacher, input_scale
from quantize.distill.teachers.teacher import Teacher
from runtimes.codec_spec import SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class SimCCDistillLoss:
    """KL divergence of SimCC outputs from the teacher's: KL(T(X) || S(X)) of every keypoint that the teacher knows.

    Hidden and unlabelled keypoints count in full: the teacher's guess is a target too (DWPose, arXiv:2307.15880,
    section 3.1). bins: the teacher's bin of each of the student's, (x, y), fractional.
    """

    online: OnlineTeacher
    keypoints: KeypointMap
    bins: tuple[F64, F64]

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        taught = self.online.outputs(batch, outputs[0].device)
        x, y = (
            select(resample_logits(logits, bins), self.keypoints).to(outputs[0])
            for logits, bins in zip(taught, self.bins, strict=True)
        )
        known = torch.from_numpy(self.keypoints.known).to(outputs[0])
        return simcc_kl((outputs[0], outputs[1]), (x, y), known.expand(x.shape[:2]))


def simcc_losses(
    teacher: Teacher, spec: ModelSpec, schema: KeypointSchema
) -> dict[str, WeightedLoss]:
    """Return the loss of the method `simcc`, added to the label loss, for a student of that spec and keypoint set.

    Its weight is 1 throughout, like that of a teacher's heatmaps; DWPose's fading weight belongs to its first stage,
    see `quantize.distill.methods.feature`. Raises InputError where teacher or student have no SimCC outputs, share no
    keypoint, or differ in aspect ratio.
    """
    return {"simcc": WeightedLoss(simcc_distill_loss(OnlineTeacher(teacher, spec), spec, schema))}


def simcc_distill_loss(
    online: OnlineTeacher, spec: ModelSpec, schema: KeypointSchema
) -> SimCCDistillLoss:
    """Return the loss, for a teacher that other losses share; raises InputError as `simcc_losses` does."""
    teacher = online.teacher
    match spec.codec, teacher.spec.codec:
        case SimCCCodec() as ours, SimCCCodec() as theirs:
            keypoints = map_keypoints(teacher.schema, schema)
            bins = teacher_bins(spec, ours, teacher.spec, theirs)
            return SimCCDistillLoss(online, keypoints, bins)
        case SimCCCodec(), _:
            raise InputError(
                f"{teacher.spec.model} gives no SimCC logits; use it with the method heatmap"
            )
        case _:
            raise InputError(
                "the student has no SimCC outputs; the method simcc is for rtmpose students"
            )


def teacher_bins(
    student: ModelSpec, ours: SimCCCodec, teacher: ModelSpec, theirs: SimCCCodec
) -> tuple[F64, F64]:
    """Return the position of each of the student's bins among the teacher's, for both axes.

    A bin is at pixel bin / split ratio in either decoder; pixels of the two crops differ by a factor.
    """
    scale = input_scale(student, teacher)
    x, y = (
        np.arange(round(side * ours.split_ratio))
        / ours.split_ratio
        * scale[axis]
        * theirs.split_ratio
        for axis, side in enumerate(student.image.wh)
    )
    return x, y


def resample_logits(logits: torch.Tensor, bins: F64) -> torch.Tensor:
    """Return logits (B, K, bins) at fractional `bins`: linear between two, constant beyond the ends."""
    last = logits.shape[-1] - 1
    inside = np.clip(bins, 0, last)
    low = np.floor(inside).astype(np.int64)
    below, above = (
        logits[..., torch.from_numpy(each).to(logits.device)]
        for each in (low, np.minimum(low + 1, last))
    )
    fraction = torch.from_numpy(inside - low).to(logits)
    return torch.lerp(below, above, fraction)
