"""Loss functions on tensors. Each returns one float32 number, a mean over all keypoints of the batch.

Keypoints of weight 0 add nothing but are counted in the mean, as in mmpose: the loss of a batch is then the mean of the
losses of its parts, on any number of processes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from quantize.distill.config import IntegralGradient

SIMCC_BETA = (
    10.0  # RTMPose's inverse temperature: SimCC values are multiplied by it before a softmax
)
# Amplitude of AlphaPose's symmetric gradient for a map's side in bins. Equation 3 of the paper (arXiv:2211.03375)
# has an eighth of the map; the authors' code has 2, whatever the map.
AMPLITUDES: dict[IntegralGradient, Callable[[int], float]] = {
    "code": lambda _: 2.0,
    "paper": lambda side: side / 8,
}


def heatmap_mse(
    predicted: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Return the mean squared error of heatmaps (B, K, h, w); mmpose's KeypointMSELoss.

    weights: (B, K), or (B, K, h, w) where parts of a map are unknown.
    """
    by_bin = weights[..., None, None] if weights.ndim == 2 else weights
    return ((predicted - target).square() * by_bin).mean()


def simcc_kl(
    predicted: tuple[torch.Tensor, torch.Tensor],
    target: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of SimCC outputs (B, K, bins) from targets, summed over x and y.

    target: Gaussians of height 1, or a teacher's logits: both become distributions by a softmax of 10 times them
    (RTMPose's KLDiscretLoss, whose mean over bins is kept). weights: (B, K).
    """
    total = predicted[0].new_zeros(())
    for logits, label in zip(predicted, target, strict=True):
        ours = functional.log_softmax(SIMCC_BETA * logits, -1)
        theirs = functional.softmax(SIMCC_BETA * label, -1)
        divergence = functional.kl_div(ours, theirs, reduction="none").mean(dim=-1)
        total = total + (divergence * weights).mean()
    return total


def feature_mse(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of feature maps (B, C, h, w); the target is resized to the student's grid."""
    if predicted.shape[2:] != target.shape[2:]:
        target = functional.interpolate(
            target, size=predicted.shape[2:], mode="bilinear", align_corners=False
        )
    return functional.mse_loss(predicted, target)


def integral_l1(
    maps: torch.Tensor,
    xy: torch.Tensor,
    weights: torch.Tensor,
    gradient: IntegralGradient = "code",
) -> torch.Tensor:
    """Return the L1 error of the mean positions of maps (B, K, h, w), as a fraction of the map's sides.

    Maps are normalised by a sigmoid and their sum. xy: (B, K, 2) in bins. The gradient is the symmetric one of
    arXiv:2211.03375, equation 3, with one of AMPLITUDES: see `SymmetricMean`.
    """
    positive = torch.sigmoid(maps)
    mass = positive / positive.sum(dim=(2, 3), keepdim=True).clamp(min=1e-8)
    sides = torch.tensor(maps.shape[:1:-1], dtype=maps.dtype, device=maps.device)
    amplitude = AMPLITUDES[gradient]
    rows = [mass.sum(dim=axis) for axis in (2, 3)]
    means = torch.stack([symmetric_mean(row, amplitude(row.shape[-1])) for row in rows], dim=-1)
    return (((means - xy) / sides).abs().sum(dim=-1) * weights).mean()


class SymmetricMean(torch.autograd.Function):
    """The mean bin of distributions, with a gradient of equal amplitude for all bins.

    The true derivative of the mean with respect to a bin's mass is the bin's index, so bins on the right would be moved
    more than bins on the left. AlphaPose's gradient is +amplitude right of the mean and -amplitude left of it.
    """

    @staticmethod
    def forward(ctx: Any, mass: torch.Tensor, amplitude: float) -> torch.Tensor:
        """Return means (B, K) of distributions (B, K, bins)."""
        bins = torch.arange(mass.shape[-1], dtype=mass.dtype, device=mass.device)
        means = (mass * bins).sum(dim=-1)
        ctx.save_for_backward(bins, means)
        ctx.amplitude = amplitude
        return means

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient (B, K, bins)."""
        bins, means = ctx.saved_tensors
        amplitude = torch.where(bins < means[..., None], -ctx.amplitude, ctx.amplitude)
        return grads[0][..., None] * amplitude, None


def symmetric_mean(mass: torch.Tensor, amplitude: float = 2.0) -> torch.Tensor:
    """Return the mean bin (B, K) of distributions (B, K, bins); see SymmetricMean."""
    mean: torch.Tensor = SymmetricMean.apply(mass, amplitude)
    return mean
