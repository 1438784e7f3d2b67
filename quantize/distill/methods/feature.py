"""Features like the teacher's (DWPose's first stage, arXiv:2307.15880, section 3.1): the last map, and SimCC logits.

Both fade as the training goes on, and the labels stay: weight (1 - epoch / epochs). A 1x1 convolution, trained with the
student and then thrown away, brings the student's channels to the teacher's.

The paper's weights stand before sums, ours before means, so they are converted. With N crops on a GPU (64), the paper
adds up the labels' term over the crops, and takes the mean of it over bins; the logits' term it adds up over bins and
takes the mean over crops; and its code adds up squared features over C x H x W (1024 x 8 x 6 for its teacher, of
256x192) and takes the mean over crops. Relative to the labels' term as a mean, that makes 0.1 x 448 bins / 64 for
logits, and 5e-5 x 49152 / 64 for features. The same ratio then holds for every input, teacher and batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge.schema import KeypointSchema
from quantize.distill.backbone_head import Outputs, backbone_of, channels_of, last_map, read
from quantize.distill.data.batches import Batch
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.losses.functional import feature_mse
from quantize.distill.losses.simcc import simcc_term
from quantize.distill.losses.terms import Part, Term
from quantize.distill.online_teacher import Online
from quantize.distill.teacher import Teacher
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

CROPS = 64
LOGITS = 0.1 * (384 + 512) / 2 / CROPS
FEATURES = 5e-5 * 1024 * 8 * 6 / CROPS
# What labels cost a student that says nothing, in parts of what SimCC labels cost it: features weigh as much beside
# them. Uniform bins, empty heatmaps, and the middle of the crop for keypoints anywhere in it.
SILENCE = {SimCCCodec: 1.0, HeatmapCodec: 0.25, IntegralCodec: 30.0}
ADAPTER = "adapter."


class WithFeatures(nn.Module):
    """A student that also shows its last features: its own outputs, then the features in the teacher's channels.

    Its tensors keep their names, so that a transformer's blocks learn at their own rates; `finished` drops the rest.
    """

    def __init__(self, student: Any, ours: int, theirs: int, seed: int = 0) -> None:
        super().__init__()
        self.backbone = student.backbone
        self.head = student.head
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapter = nn.Conv2d(ours, theirs, 1) if ours != theirs else nn.Identity()

    def forward(self, image: torch.Tensor) -> Outputs:
        """Return (*outputs, features (B, C of the teacher, h, w))."""
        features = last_map(self.backbone, image)
        return (*read(self.head, features), self.adapter(features))


@dataclass(frozen=True, slots=True)
class FirstOutputs:
    """A term that is shown the first `count` outputs only: the network's own, of a student with features."""

    term: Term
    count: int

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the term's loss."""
        return self.term(outputs[: self.count], batch)


@dataclass(frozen=True, slots=True)
class FeaturesTaught:
    """Features like the teacher's of the same crop: the mean squared error over the student's grid."""

    online: Online

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (..., features)."""
        found = outputs[-1]
        return feature_mse(found, self.online.features(batch, found.device).to(found))


def with_features(student: nn.Module, spec: ModelSpec, teacher: Teacher, seed: int) -> WithFeatures:
    """Return the student as it is trained by the method `feature`; the adapter's first weights follow from the seed.

    Raises InputError for a teacher whose features cannot be seen.
    """
    theirs = channels_of(_backbone(teacher), teacher.spec.image.wh)
    return WithFeatures(student, channels_of(student.backbone, spec.image.wh), theirs, seed)


def finished(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the bare student's state of a `WithFeatures`'."""
    return {name: value for name, value in state.items() if not name.startswith(ADAPTER)}


def feature_parts(teacher: Teacher, spec: ModelSpec, schema: KeypointSchema) -> dict[str, Part]:
    """Return the method `feature` for a student of that spec: its parts, to be added to the labels' (`FirstOutputs`).

    The features; and, where teacher and student both give SimCC logits, those. Each fades to nothing. Raises InputError
    for a teacher whose features cannot be seen, that shares no keypoint, or that has another aspect.
    """
    _backbone(teacher)
    map_keypoints(teacher.schema, schema)
    online = Online(teacher, spec)
    weight = FEATURES * SILENCE[type(spec.codec)]
    parts = {"feature": Part(FeaturesTaught(online), weight, 0.0)}
    if isinstance(spec.codec, SimCCCodec) and isinstance(teacher.spec.codec, SimCCCodec):
        term = FirstOutputs(simcc_term(online, spec, schema), len(spec.outputs))
        parts["simcc"] = Part(term, LOGITS, 0.0)
    return parts


def _backbone(teacher: Teacher) -> Any:
    backbone = None if teacher.module is None else backbone_of(teacher.module)
    if backbone is None:
        raise InputError(
            f"the features of {teacher.spec.model} cannot be seen: the method feature needs a PyTorch teacher (a "
            "checkpoint or a catalogue name with weights), not an artifact"
        )
    return backbone
