"""Feature distillation (DWPose's first stage, arXiv:2307.15880, section 3.1): the last feature map and SimCC logits.

Both losses fade during the run and the label loss stays: weight (1 - epoch / epochs). A 1x1 convolution, trained with
the student and then dropped, maps the student's channels to the teacher's.

The paper's weights apply to sums and ours to means, so they are converted. With N crops per GPU (64), the paper sums
the label loss over crops and averages it over bins; it sums the logit loss over bins and averages it over crops; and
its code sums squared features over C x H x W (1024 x 8 x 6 for its teacher at 256x192) and averages over crops.
Relative to a label loss that is a mean, that gives 0.1 x 448 bins / 64 for logits and 5e-5 x 49152 / 64 for features.
The same ratio then holds for every input, teacher and batch size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge.schema import KeypointSchema
from quantize.distill.backbone_head import Outputs, backbone_of, last_map, map_channels, run_head
from quantize.distill.data.batches import Batch
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.losses.ahead import prepare
from quantize.distill.losses.functional import feature_mse
from quantize.distill.losses.simcc import simcc_distill_loss
from quantize.distill.losses.terms import PoseLoss, WeightedLoss
from quantize.distill.teachers.online import OnlineTeacher
from quantize.distill.teachers.teacher import Teacher
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

CROPS = 64
LOGIT_WEIGHT = 0.1 * (384 + 512) / 2 / CROPS
FEATURE_WEIGHT = 5e-5 * 1024 * 8 * 6 / CROPS
# The label loss of an untrained student relative to that of SimCC labels, so that features weigh the same beside it:
# uniform bins, empty heatmaps, and the crop's centre for keypoints anywhere in it.
UNTRAINED_LOSS = {SimCCCodec: 1.0, HeatmapCodec: 0.25, IntegralCodec: 30.0}
ADAPTER = "adapter."  # prefix of the added tensors in a saved state


class FeatureStudent(nn.Module):
    """A student with its last feature map: its own outputs, then the features in the teacher's channels.

    Its tensors keep their names, so that layer-wise learning rates apply; `without_adapter` drops the rest.
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
        maps = self.backbone(image)
        return (*run_head(self.head, maps), self.adapter(last_map(maps)))


@dataclass(frozen=True, slots=True)
class FirstOutputsLoss:
    """A loss of the first `count` outputs only: the network's own, where the module gives more."""

    loss: PoseLoss
    count: int

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the wrapped loss."""
        return self.loss(outputs[: self.count], batch)

    def prepare(self, batch: Batch) -> None:
        """Let the wrapped loss compute its targets ahead."""
        prepare(self.loss, batch)


@dataclass(frozen=True, slots=True)
class FeatureDistillLoss:
    """MSE of features against the teacher's for the same crop, on the student's grid."""

    online: OnlineTeacher

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (..., features)."""
        predicted = outputs[-1]
        target = self.online.features(batch, predicted.device)
        return feature_mse(predicted, target.to(predicted))


def with_feature_output(
    student: nn.Module, spec: ModelSpec, teacher: Teacher, seed: int
) -> FeatureStudent:
    """Return the student as the method `feature` trains it; the adapter's initial weights are drawn from the seed.

    Raises InputError for a teacher without accessible features.
    """
    theirs = map_channels(_backbone(teacher), teacher.spec.image.wh)[-1]
    ours = map_channels(student.backbone, spec.image.wh)[-1]
    return FeatureStudent(student, ours, theirs, seed)


def without_adapter(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the bare student's tensors from the state dict of a `FeatureStudent`."""
    return {name: value for name, value in state.items() if not name.startswith(ADAPTER)}


def feature_losses(
    teacher: Teacher, spec: ModelSpec, schema: KeypointSchema
) -> dict[str, WeightedLoss]:
    """Return the losses of the method `feature`, added to the label loss (in `FirstOutputsLoss`): both fade to 0.

    Features; and SimCC logits, where teacher and student both give them. Raises InputError for a teacher without
    accessible features, with no shared keypoint, or of another aspect ratio.
    """
    _backbone(teacher)
    map_keypoints(teacher.schema, schema)
    online = OnlineTeacher(teacher, spec)
    weight = FEATURE_WEIGHT * UNTRAINED_LOSS[type(spec.codec)]
    losses = {"feature": WeightedLoss(FeatureDistillLoss(online), weight, 0.0)}
    if isinstance(spec.codec, SimCCCodec) and isinstance(teacher.spec.codec, SimCCCodec):
        loss = FirstOutputsLoss(simcc_distill_loss(online, spec, schema), len(spec.outputs))
        losses["simcc"] = WeightedLoss(loss, LOGIT_WEIGHT, 0.0)
    return losses


def _backbone(teacher: Teacher) -> Any:
    backbone = None if teacher.module is None else backbone_of(teacher.module)
    if backbone is None:
        raise InputError(
            f"the features of {teacher.spec.model} are not accessible: the method feature needs a PyTorch teacher (a "
            "checkpoint or a catalogue name with weights), not an artifact"
        )
    return backbone
