"""SimCC teachers for SimCC students: the teacher's logits of the student's own crop, in the student's bins."""

from dataclasses import dataclass

import numpy as np
import torch

from edge.schema import KeypointSchema
from edge.types import F64
from quantize.distill.data.batches import Batch
from quantize.distill.data.keypoint_transfer import KeypointMap, map_keypoints, select
from quantize.distill.losses.functional import simcc_kl
from quantize.distill.losses.terms import Outputs, Part
from quantize.distill.online_teacher import Online, stretch_of
from quantize.distill.teacher import Teacher
from runtimes.codec_spec import SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class SimCCTaught:
    """SimCC outputs like the teacher's logits: KL(T(X) || S(X)) of every keypoint that the teacher knows.

    Hidden and unlabelled keypoints count in full: what the teacher makes of them is what there is to learn (DWPose,
    arXiv:2307.15880, section 3.1). places: which of the teacher's bins each of the student's is, (x, y), fractions.
    """

    online: Online
    keypoints: KeypointMap
    places: tuple[F64, F64]

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        found = self.online.outputs(batch, outputs[0].device)
        x, y = (
            select(rebinned(logits, places), self.keypoints).to(outputs[0])
            for logits, places in zip(found, self.places, strict=True)
        )
        taught = torch.from_numpy(self.keypoints.taught).to(outputs[0])
        return simcc_kl((outputs[0], outputs[1]), (x, y), taught.expand(x.shape[:2]))


def simcc_parts(teacher: Teacher, spec: ModelSpec, schema: KeypointSchema) -> dict[str, Part]:
    """Return the method `simcc` for a student of that spec and those keypoints: one part, to be added to the labels'.

    Its weight is 1 throughout, as that of a teacher's heatmaps: labels and teacher are heard alike. DWPose's fading
    weight belongs to its first stage, see `quantize.distill.methods.feature`. Raises InputError where teacher or
    student have other outputs than SimCC, share no keypoint, or differ in aspect.
    """
    return {"simcc": Part(simcc_term(Online(teacher, spec), spec, schema))}


def simcc_term(online: Online, spec: ModelSpec, schema: KeypointSchema) -> SimCCTaught:
    """Return the term, for a teacher that other terms ask as well; raises InputError as `simcc_parts` does."""
    teacher = online.teacher
    match spec.codec, teacher.spec.codec:
        case SimCCCodec() as ours, SimCCCodec() as theirs:
            keypoints = map_keypoints(teacher.schema, schema)
            return SimCCTaught(online, keypoints, places_of(spec, ours, teacher.spec, theirs))
        case SimCCCodec(), _:
            raise InputError(
                f"{teacher.spec.model} gives no SimCC logits; let it teach by the method heatmap"
            )
        case _:
            raise InputError(
                "the student has no SimCC outputs; the method simcc is for rtmpose students"
            )


def places_of(
    student: ModelSpec, ours: SimCCCodec, teacher: ModelSpec, theirs: SimCCCodec
) -> tuple[F64, F64]:
    """Return where among the teacher's bins each of the student's lies, for both axes.

    A bin is the pixel bin / split ratio, for either decoder; between pixels of two crops of one region lies a factor.
    """
    stretch = stretch_of(student, teacher)
    x, y = (
        np.arange(round(side * ours.split_ratio))
        / ours.split_ratio
        * stretch[axis]
        * theirs.split_ratio
        for axis, side in enumerate(student.image.wh)
    )
    return x, y


def rebinned(logits: torch.Tensor, places: F64) -> torch.Tensor:
    """Return logits (B, K, bins) read at `places`, on a straight line between two bins; beyond the ends as at them."""
    last = logits.shape[-1] - 1
    inside = np.clip(places, 0, last)
    low = np.floor(inside).astype(np.int64)
    below, above = (
        logits[..., torch.from_numpy(each).to(logits.device)]
        for each in (low, np.minimum(low + 1, last))
    )
    part = torch.from_numpy(inside - low).to(logits)
    return torch.lerp(below, above, part)
