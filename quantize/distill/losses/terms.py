"""Losses of a pose student for one batch: against labels, and against a teacher's cached heatmaps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edge.codecs.integral import mean_bins
from edge.geometry import Crop, Size
from edge.schema import KeypointSchema
from edge.types import F32, F64
from quantize.distill.config import IntegralGradient
from quantize.distill.data.batches import Batch
from quantize.distill.data.crop_view import crop_to_crop, to_bins
from quantize.distill.data.keypoint_transfer import KeypointMap, warp_maps
from quantize.distill.data.split_maps import SplitMaps, join_maps
from quantize.distill.data.targets import (
    heatmap_sigma,
    heatmaps,
    inside,
    marginals,
    simcc_labels,
    simcc_sigma,
    strides,
    suppress_noise,
)
from quantize.distill.losses.ahead import TargetLoss
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
class HeatmapLoss(TargetLoss[torch.Tensor]):
    """MSE of heatmaps against labels: MSE(S(X), K_gt)."""

    spec: ModelSpec
    codec: HeatmapCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (predicted,) = outputs
        target = self.take_targets(batch).to(predicted)
        return heatmap_mse(predicted, target.reshape(predicted.shape), batch.weights.to(predicted))

    def targets(self, batch: Batch) -> torch.Tensor:
        """Return label heatmaps float32 (B * K, h, w)."""
        map_wh = map_size(self.spec)
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        bins = batch.xy.numpy().reshape(-1, 2) / stride
        sigma = heatmap_sigma(self.spec.image.wh) / stride
        return torch.from_numpy(heatmaps(bins, map_wh, sigma))


@dataclass(frozen=True, slots=True)
class SimCCLoss(TargetLoss[tuple[F32, F32]]):
    """KL divergence of SimCC outputs from labels: RTMPose's loss."""

    spec: ModelSpec
    codec: SimCCCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        return _simcc_loss(outputs, self.take_targets(batch), batch.weights)

    def targets(self, batch: Batch) -> tuple[F32, F32]:
        """Return labels (B * K, bins) for x and y."""
        wh = self.spec.image.wh
        xy = batch.xy.numpy().reshape(-1, 2)
        return simcc_labels(xy, wh, self.codec.split_ratio, simcc_sigma(self.codec, wh))


class TeacherMaps:
    """A teacher's cached heatmaps in the students' crops: the target of every heatmap distillation loss.

    The records of a batch are kept in it, since several losses read them.
    """

    def __init__(
        self, teacher_cache: TeacherCache, keypoints: KeypointMap, schema: KeypointSchema
    ) -> None:
        self._cache = teacher_cache
        self._known = keypoints.known.astype(np.float32)
        self._flip = schema.flip_order

    def of(
        self, batch: Batch, map_wh: Size, stride: F64, sigma: F64
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps float32 (B, K, h, w) in the student's bins, and weights: 0 outside the teacher's crop.

        Main peaks are Gaussians of `sigma` (bins, x and y), the width of the student's labels.
        """
        split, weights = self.split(batch, map_wh, stride)
        return torch.from_numpy(join_maps(split, stride, sigma)), weights

    def split(self, batch: Batch, map_wh: Size, stride: F64) -> tuple[SplitMaps, torch.Tensor]:
        """Return the maps split, peaks in the student's input pixels, and weights as `of` does."""
        cached = self._read(batch)
        moves = [
            crop_to_crop(Crop(self._cache.crops[row], crop.wh), crop)
            for row, crop in zip(batch.rows, batch.crops, strict=True)
        ]
        matrices = np.stack([to_bins(move, self._cache.stride, stride) for move in moves])
        rest, covered = warp_maps(torch.from_numpy(cached.rest), matrices, map_wh)
        linear, offset = np.split(np.stack(moves), [2], axis=2)
        xy = cached.xy @ linear.transpose(0, 2, 1) + offset.transpose(0, 2, 1)
        split = SplitMaps(
            xy.astype(np.float32), cached.heights.copy(), cached.amplitudes.copy(), rest.numpy()
        )
        known = np.tile(self._known, (len(moves), 1))
        for place in np.flatnonzero(batch.flipped):
            for each in (known, split.xy, split.heights, split.amplitudes, split.rest):
                each[place] = each[place, self._flip]
        return split, torch.from_numpy(known)[..., None, None] * covered

    def _read(self, batch: Batch) -> SplitMaps:
        cached: SplitMaps | None = batch.prepared.get(id(self))
        if cached is None:
            cached = batch.prepared[id(self)] = self._cache.read(batch.rows)
        return cached


@dataclass(frozen=True, slots=True)
class HeatmapDistillLoss(TargetLoss[tuple[torch.Tensor, torch.Tensor]]):
    """MSE of heatmaps against the teacher's: MSE(S(X), K_t), of every keypoint, labelled or not."""

    spec: ModelSpec
    codec: HeatmapCodec
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (predicted,) = outputs
        target, weights = self.take_targets(batch)
        return heatmap_mse(predicted, target.to(predicted), weights.to(predicted))

    def targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the teacher's maps and weights (B, K, h, w)."""
        map_wh = map_size(self.spec)
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        sigma = heatmap_sigma(self.spec.image.wh) / stride
        return self.teacher.of(batch, map_wh, stride, sigma)


@dataclass(frozen=True, slots=True)
class MarginalDistillLoss(TargetLoss[tuple[tuple[F32, F32], torch.Tensor]]):
    """KL divergence of SimCC outputs from the marginals of the teacher's heatmaps, weighted by their peaks' height.

    As with labels, a keypoint whose peak is outside the student's crop has weight 0.
    """

    spec: ModelSpec
    codec: SimCCCodec
    teacher: TeacherMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        labels, weights = self.take_targets(batch)
        return _simcc_loss(outputs, labels, weights)

    def targets(self, batch: Batch) -> tuple[tuple[F32, F32], torch.Tensor]:
        """Return labels (B * K, bins) for x and y, and weights (B, K)."""
        width, height = wh = self.spec.image.wh
        map_wh = (width // 4, height // 4)
        stride = strides(wh, map_wh, NO_UDP)
        split, seen = self.teacher.split(batch, map_wh, stride)
        rest = (split.rest * seen.numpy()).reshape(-1, *split.rest.shape[2:])
        peaks = (split.xy.reshape(-1, 2), split.heights.reshape(-1), split.amplitudes.reshape(-1))
        labels = marginals(peaks, rest, stride, wh, self.codec)
        weights = torch.from_numpy(split.heights.clip(0, 1) * inside(split.xy, wh))
        return labels, weights * seen.amax(dim=(2, 3))


@dataclass(frozen=True, slots=True)
class IntegralLoss:
    """L1 error of the maps' mean positions against labels, with AlphaPose's symmetric gradient.

    The height of a map, which the decoder takes for the score, is not supervised.
    """

    spec: ModelSpec
    gradient: IntegralGradient = "code"

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (predicted,) = outputs
        map_wh = (predicted.shape[3], predicted.shape[2])
        stride = strides(self.spec.image.wh, map_wh, NO_UDP)
        bins = batch.xy.to(predicted) / torch.from_numpy(stride).to(predicted)
        return integral_l1(predicted, bins, batch.weights.to(predicted), self.gradient)


@dataclass(frozen=True, slots=True)
class IntegralDistillLoss(TargetLoss[tuple[torch.Tensor, torch.Tensor]]):
    """L1 error of the maps' mean positions against the teacher's, weighted by the height of the teacher's peaks.

    Values below a tenth of the teacher's peak are dropped: over the whole map, noise would pull a mean to the middle.
    """

    spec: ModelSpec
    teacher: TeacherMaps
    gradient: IntegralGradient = "code"

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (predicted,) = outputs
        bins, peaks = self.take_targets(batch)
        return integral_l1(predicted, bins.to(predicted), peaks.to(predicted), self.gradient)

    def targets(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mean positions (B, K, 2) in bins, and the peaks' heights (B, K)."""
        map_wh = map_size(self.spec)
        stride = strides(self.spec.image.wh, map_wh, NO_UDP)
        sigma = heatmap_sigma(self.spec.image.wh) / stride
        maps, weights = self.teacher.of(batch, map_wh, stride, sigma)
        known = (maps * weights).numpy()
        peaks = torch.from_numpy(known.max(axis=(2, 3)).clip(0, 1))
        return torch.from_numpy(mean_bins(suppress_noise(known))), peaks


def map_size(spec: ModelSpec) -> Size:
    """Return the width and height of the maps that a network of this spec gives."""
    height, width = spec.outputs[0].shape[-2:]
    return width, height


def label_loss(spec: ModelSpec, gradient: IntegralGradient = "code") -> PoseLoss:
    """Return the loss against labels for a student of that spec; raises InputError for outputs that have none."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapLoss(spec, codec)
        case SimCCCodec() as codec:
            return SimCCLoss(spec, codec)
        case IntegralCodec(norm="sigmoid"):
            return IntegralLoss(spec, gradient)
        case _:
            raise InputError(_untrainable(spec))


def teacher_map_loss(
    spec: ModelSpec, teacher: TeacherMaps, gradient: IntegralGradient = "code"
) -> PoseLoss:
    """Return the loss against a teacher's heatmaps; raises InputError for outputs that have none."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapDistillLoss(spec, codec, teacher)
        case SimCCCodec() as codec:
            return MarginalDistillLoss(spec, codec, teacher)
        case IntegralCodec(norm="sigmoid"):
            return IntegralDistillLoss(spec, teacher, gradient)
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
