"""Losses of a pose student for one batch: against labels, and against a teacher's cached heatmaps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edge.codecs.integral import mean_bins
from edge.geometry import Crop, Size
from edge.schema import KeypointSchema
from edge.types import F32, F64
from quantize.distill.data.batches import Batch
from quantize.distill.data.crop_view import crop_to_crop, to_bins
from quantize.distill.data.keypoint_transfer import KeypointMap, warp_maps
from quantize.distill.data.targets import (
    heatmap_sigma,
    heatmaps,
    marginals,
    simcc_labels,
    simcc_sigma,
    strides,
    suppress_noise,
)
from quantize.distill.losses.functional import heatmap_mse, integral_l1, simcc_kl
from quantize.distill.teachers.cache import TeacherCache
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

# Bin 0 is pixel 0 and strides are ratios of sizes: how integral outputs are decoded.
NO_UDP = HeatmapCodec()
Outputs = tuple[torch.Tensor, ...]
PoseLoss = Callable[[Outputs, Batch], torch.Tensor]


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """A loss and its weight in the sum: linear from `start` at the first step to `end` after the last."""

    loss: PoseLoss
    start: float = 1.0
    end: float = 1.0

    def weight_at(self, progress: float) -> float:
        """Return the weight when that fraction of the run (0 to 1) is done."""
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True, slots=True)
class HeatmapLoss:
    """MSE of heatmaps against labels: MSE(S(X), K_gt)."""

    spec: ModelSpec
    codec: HeatmapCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (predicted,) = outputs
        map_wh = (predicted.shape[3], predicted.shape[2])
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        bins = batch.xy.numpy().reshape(-1, 2) / stride
        sigma = heatmap_sigma(self.spec.image.wh) / stride
        target = torch.from_numpy(heatmaps(bins, map_wh, sigma)).to(predicted)
        return heatmap_mse(predicted, target.reshape(predicted.shape), batch.weights.to(predicted))


@dataclass(frozen=True, slots=True)
class SimCCLoss:
    """KL divergence of SimCC outputs from labels: RTMPose's loss."""

    spec: ModelSpec
    codec: SimCCCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        wh = self.spec.image.wh
        xy = batch.xy.numpy().reshape(-1, 2)
        labels = simcc_labels(xy, wh, self.codec.split_ratio, simcc_sigma(wh))
        return _simcc_loss(outputs, labels, batch.weights)


@dataclass(frozen=True, slots=True)
class TeacherMaps:
    """A teacher's cached heatmaps, warped to the student's crops: the target of every heatmap distillation loss."""

    teacher_cache: TeacherCache
    keypoints: KeypointMap
    schema: KeypointSchema

    def of(self, batch: Batch, map_wh: Size, stride: F64) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps float32 (B, K, h, w) in the student's bins, and weights: 0 outside the teacher's crop."""
        maps = torch.from_numpy(self.teacher_cache.maps_of(batch.rows))
        matrices = np.stack(
            [
                to_bins(
                    crop_to_crop(Crop(self.teacher_cache.crops[row], crop.wh), crop),
                    self.teacher_cache.stride,
                    stride,
                )
                for row, crop in zip(batch.rows, batch.crops, strict=True)
            ]
        )
        warped, inside = warp_maps(maps, matrices, map_wh)
        known = torch.from_numpy(self.keypoints.known).float()
        weights = known.view(1, -1, 1, 1) * inside
        flip = torch.from_numpy(self.schema.flip_order)
        for place in np.flatnonzero(batch.flipped):
            warped[place] = warped[place, flip]
            weights[place] = weights[place, flip]
        return warped, weights


@dataclass(frozen=True, slots=True)
class HeatmapDistillLoss:
    """MSE of heatmaps against the teacher's: MSE(S(X), K_t), of every keypoint, labelled or not."""

    spec: ModelSpec
    codec: HeatmapCodec
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (predicted,) = outputs
        map_wh = (predicted.shape[3], predicted.shape[2])
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        target, weights = self.teacher.of(batch, map_wh, stride)
        return heatmap_mse(predicted, target.to(predicted), weights.to(predicted))


@dataclass(frozen=True, slots=True)
class MarginalDistillLoss:
    """KL divergence of SimCC outputs from the marginals of the teacher's heatmaps, weighted by their peaks' height."""

    spec: ModelSpec
    codec: SimCCCodec
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        width, height = self.spec.image.wh
        map_wh = (width // 4, height // 4)
        stride = strides((width, height), map_wh, NO_UDP)
        maps, weights = self.teacher.of(batch, map_wh, stride)
        known = maps * weights
        flat = known.numpy().reshape(-1, *maps.shape[2:])
        labels = marginals(flat, stride, (width, height), self.codec.split_ratio)
        return _simcc_loss(outputs, labels, known.amax(dim=(2, 3)).clamp(0, 1))


@dataclass(frozen=True, slots=True)
class IntegralLoss:
    """L1 error of the maps' mean positions against labels, with AlphaPose's symmetric gradient.

    The height of a map, which the decoder takes for the score, is not supervised.
    """

    spec: ModelSpec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (predicted,) = outputs
        map_wh = (predicted.shape[3], predicted.shape[2])
        stride = strides(self.spec.image.wh, map_wh, NO_UDP)
        bins = batch.xy.to(predicted) / torch.from_numpy(stride).to(predicted)
        return integral_l1(predicted, bins, batch.weights.to(predicted))


@dataclass(frozen=True, slots=True)
class IntegralDistillLoss:
    """L1 error of the maps' mean positions against the teacher's, weighted by the height of the teacher's peaks.

    Values below a tenth of the teacher's peak are dropped: over the whole map, noise would pull a mean to the middle.
    """

    spec: ModelSpec
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (predicted,) = outputs
        map_wh = (predicted.shape[3], predicted.shape[2])
        maps, weights = self.teacher.of(batch, map_wh, strides(self.spec.image.wh, map_wh, NO_UDP))
        known = (maps * weights).numpy()
        bins = torch.from_numpy(mean_bins(suppress_noise(known))).to(predicted)
        peaks = torch.from_numpy(known.max(axis=(2, 3)).clip(0, 1)).to(predicted)
        return integral_l1(predicted, bins, peaks)


def label_loss(spec: ModelSpec) -> PoseLoss:
    """Return the loss against labels for a student of that spec; raises InputError for outputs that have none."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapLoss(spec, codec)
        case SimCCCodec() as codec:
            return SimCCLoss(spec, codec)
        case IntegralCodec(norm="sigmoid"):
            return IntegralLoss(spec)
        case _:
            raise InputError(_untrainable(spec))


def teacher_map_loss(spec: ModelSpec, teacher: TeacherMaps) -> PoseLoss:
    """Return the loss against a teacher's heatmaps; raises InputError for outputs that have none."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapDistillLoss(spec, codec, teacher)
        case SimCCCodec() as codec:
            return MarginalDistillLoss(spec, codec, teacher)
        case IntegralCodec(norm="sigmoid"):
            return IntegralDistillLoss(spec, teacher)
        case _:
            raise InputError(_untrainable(spec))


def _simcc_loss(outputs: Outputs, labels: tuple[F32, F32], weights: torch.Tensor) -> torch.Tensor:
    """Return the divergence of (x logits, y logits) from labels (B * K, bins) for x and y."""
    x, y = (
        torch.from_numpy(label).to(logits).reshape(logits.shape)
        for label, logits in zip(labels, outputs, strict=True)
    )
    return simcc_kl((outputs[0], outputs[1]), (x, y), weights.to(outputs[0]))


def _untrainable(spec: ModelSpec) -> str:
    return f"{spec.model} cannot be trained: no loss for outputs of {type(spec.codec).__name__}"
