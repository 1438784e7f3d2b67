"""The parts of a loss: what each asks of a student's outputs for one batch. A method is a few of them, added."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from edge.codecs.integral import mean_bins
from edge.geometry import Crop, Size
from edge.schema import KeypointSchema
from edge.types import F64
from quantize.distill.data.batches import Batch
from quantize.distill.data.crop_view import in_bins, relative
from quantize.distill.data.keypoint_transfer import KeypointMap, warp_maps
from quantize.distill.data.targets import (
    above_floor,
    heatmap_sigma,
    heatmaps,
    marginals,
    simcc_labels,
    simcc_sigma,
    strides,
)
from quantize.distill.losses.functional import heatmap_mse, integral_l1, simcc_kl
from quantize.distill.teacher_cache import Lessons
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

# Bin 0 is pixel 0, and sizes divide: how means of maps are decoded.
CLASSIC = HeatmapCodec()
Outputs = tuple[torch.Tensor, ...]
Term = Callable[[Outputs, Batch], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Part:
    """A term and its weight in the sum: `start` at the first step, `end` after the last, a straight line between."""

    term: Term
    start: float = 1.0
    end: float = 1.0

    def weight_at(self, share: float) -> float:
        """Return the weight when that share of the training (0 to 1) is done."""
        return self.start + (self.end - self.start) * share


@dataclass(frozen=True, slots=True)
class HeatmapTruth:
    """Heatmaps of the labelled keypoints: MSE(S(X), K_gt)."""

    spec: ModelSpec
    codec: HeatmapCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (found,) = outputs
        map_wh = (found.shape[3], found.shape[2])
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        bins = batch.xy.numpy().reshape(-1, 2) / stride
        sigma = heatmap_sigma(self.spec.image.wh) / stride
        wanted = torch.from_numpy(heatmaps(bins, map_wh, sigma)).to(found)
        return heatmap_mse(found, wanted.reshape(found.shape), batch.weights.to(found))


@dataclass(frozen=True, slots=True)
class SimCCTruth:
    """SimCC labels of the labelled keypoints: KL(labels || S(X)), RTMPose's own loss."""

    spec: ModelSpec
    codec: SimCCCodec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        wh = self.spec.image.wh
        xy = batch.xy.numpy().reshape(-1, 2)
        labels = simcc_labels(xy, wh, self.codec.split_ratio, simcc_sigma(wh))
        wanted = [
            torch.from_numpy(each).to(found).reshape(found.shape)
            for each, found in zip(labels, outputs, strict=True)
        ]
        weights = batch.weights.to(outputs[0])
        return simcc_kl((outputs[0], outputs[1]), (wanted[0], wanted[1]), weights)


@dataclass(frozen=True, slots=True)
class TaughtMaps:
    """A teacher's heatmaps where the student's crop shows them: what every heatmap term starts from."""

    lessons: Lessons
    keypoints: KeypointMap
    schema: KeypointSchema

    def of(self, batch: Batch, map_wh: Size, stride: F64) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps float32 (B, K, h, w) in the student's bins, and weights: 0 where the teacher saw nothing."""
        maps = torch.from_numpy(self.lessons.of(batch.rows))
        matrices = np.stack(
            [
                in_bins(
                    relative(Crop(self.lessons.crops[row], crop.wh), crop),
                    self.lessons.stride,
                    stride,
                )
                for row, crop in zip(batch.rows, batch.crops, strict=True)
            ]
        )
        warped, seen = warp_maps(maps, matrices, map_wh)
        taught = torch.from_numpy(self.keypoints.taught).float()
        weights = taught.view(1, -1, 1, 1) * seen
        flip = torch.from_numpy(self.schema.flip_order)
        for place in np.flatnonzero(batch.mirrored):
            warped[place] = warped[place, flip]
            weights[place] = weights[place, flip]
        return warped, weights


@dataclass(frozen=True, slots=True)
class HeatmapTaught:
    """Heatmaps like the teacher's: MSE(S(X), K_t), of every keypoint, labelled or not."""

    spec: ModelSpec
    codec: HeatmapCodec
    taught: TaughtMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (heatmaps,)."""
        (found,) = outputs
        map_wh = (found.shape[3], found.shape[2])
        stride = strides(self.spec.image.wh, map_wh, self.codec)
        wanted, weights = self.taught.of(batch, map_wh, stride)
        return heatmap_mse(found, wanted.to(found), weights.to(found))


@dataclass(frozen=True, slots=True)
class MarginalsTaught:
    """SimCC outputs like the marginals of the teacher's heatmaps, as far as their peaks are sure (their height)."""

    spec: ModelSpec
    codec: SimCCCodec
    taught: TaughtMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (x logits, y logits)."""
        width, height = self.spec.image.wh
        map_wh = (width // 4, height // 4)
        stride = strides((width, height), map_wh, HeatmapCodec())
        maps, weights = self.taught.of(batch, map_wh, stride)
        flat = (maps * weights).numpy().reshape(-1, *maps.shape[2:])
        labels = marginals(flat, stride, (width, height), self.codec.split_ratio)
        wanted = [
            torch.from_numpy(each).to(found).reshape(found.shape)
            for each, found in zip(labels, outputs, strict=True)
        ]
        sure = (maps * weights).amax(dim=(2, 3)).clamp(0, 1).to(outputs[0])
        return simcc_kl((outputs[0], outputs[1]), (wanted[0], wanted[1]), sure)


@dataclass(frozen=True, slots=True)
class IntegralTruth:
    """Maps whose mean position is the labelled keypoint: L1 with AlphaPose's symmetric gradient.

    How high the map is, which the decoder takes for the score, is not asked for.
    """

    spec: ModelSpec

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (found,) = outputs
        stride = strides(self.spec.image.wh, (found.shape[3], found.shape[2]), CLASSIC)
        bins = batch.xy.to(found) / torch.from_numpy(stride).to(found)
        return integral_l1(found, bins, batch.weights.to(found))


@dataclass(frozen=True, slots=True)
class IntegralTaught:
    """Maps whose mean position is that of the teacher's map, as far as its peak is sure (its height).

    What lies under a tenth of the teacher's peak is its noise: a mean over the whole map would be drawn to the middle.
    """

    spec: ModelSpec
    taught: TaughtMaps

    def __call__(self, outputs: Outputs, batch: Batch) -> torch.Tensor:
        """Return the loss of (logits of maps,)."""
        (found,) = outputs
        map_wh = (found.shape[3], found.shape[2])
        maps, weights = self.taught.of(batch, map_wh, strides(self.spec.image.wh, map_wh, CLASSIC))
        known = (maps * weights).numpy()
        bins = torch.from_numpy(mean_bins(above_floor(known))).to(found)
        sure = torch.from_numpy(known.max(axis=(2, 3)).clip(0, 1)).to(found)
        return integral_l1(found, bins, sure)


def truth_term(spec: ModelSpec) -> Term:
    """Return what a student of that spec learns from labels; raises InputError for outputs that are not taught."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapTruth(spec, codec)
        case SimCCCodec() as codec:
            return SimCCTruth(spec, codec)
        case IntegralCodec(norm="sigmoid"):
            return IntegralTruth(spec)
        case _:
            raise InputError(
                f"{spec.model} is no student: its outputs are {type(spec.codec).__name__}"
            )


def taught_term(spec: ModelSpec, taught: TaughtMaps) -> Term:
    """Return what it learns from a teacher's heatmaps."""
    match spec.codec:
        case HeatmapCodec() as codec:
            return HeatmapTaught(spec, codec, taught)
        case SimCCCodec() as codec:
            return MarginalsTaught(spec, codec, taught)
        case IntegralCodec(norm="sigmoid"):
            return IntegralTaught(spec, taught)
        case _:
            raise InputError(
                f"{spec.model} is no student: its outputs are {type(spec.codec).__name__}"
            )
