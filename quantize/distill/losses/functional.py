"""What a student is punished for. Every loss is one number, float32: a mean over all keypoints of the batch.

Keypoints that do not count add nothing and are counted all the same, as in mmpose: so the loss of a batch is the mean
of its halves', on however many processes. Knows tensors only: where targets come from is not its affair.
"""

from typing import Any

import torch
from torch.nn import functional

BETA = 10.0  # RTMPose's sharpness: SimCC values are multiplied by it before a softmax
AMPLITUDE = 2.0  # of the symmetric gradient, AlphaPose


def heatmap_mse(found: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of heatmaps (B, K, h, w); mmpose's KeypointMSELoss.

    weights: (B, K), or (B, K, h, w) where parts of a map are unknown.
    """
    by_bin = weights[..., None, None] if weights.ndim == 2 else weights
    return ((found - wanted).square() * by_bin).mean()


def simcc_kl(
    found: tuple[torch.Tensor, torch.Tensor],
    wanted: tuple[torch.Tensor, torch.Tensor],
    weights: torch.Tensor,
) -> torch.Tensor:
    """Return the Kullback-Leibler divergence of SimCC outputs (B, K, bins) from labels, x and y added.

    wanted: Gaussians of height 1, or a teacher's logits: both become distributions by a softmax of 10 times them
    (RTMPose's KLDiscretLoss). weights: (B, K). The mean over bins is theirs too.
    """
    total = found[0].new_zeros(())
    for each, label in zip(found, wanted, strict=True):
        ours = functional.log_softmax(BETA * each, -1)
        theirs = functional.softmax(BETA * label, -1)
        divergence = functional.kl_div(ours, theirs, reduction="none").mean(dim=-1)
        total = total + (divergence * weights).mean()
    return total


def feature_mse(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the mean squared error of feature maps (B, C, h, w); the teacher's are resized to the student's grid."""
    if found.shape[2:] != wanted.shape[2:]:
        wanted = functional.interpolate(
            wanted, size=found.shape[2:], mode="bilinear", align_corners=False
        )
    return functional.mse_loss(found, wanted)


def integral_l1(maps: torch.Tensor, xy: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the L1 error of the mean positions of maps (B, K, h, w), in shares of the map's sides.

    Maps become positive by a sigmoid, and shares of their sum. xy: (B, K, 2) in bins. The gradient is the symmetric
    one of arXiv:2211.03375: see `SymmetricMean`.
    """
    positive = torch.sigmoid(maps)
    shares = positive / positive.sum(dim=(2, 3), keepdim=True).clamp(min=1e-8)
    sides = torch.tensor(maps.shape[:1:-1], dtype=maps.dtype, device=maps.device)
    means = torch.stack([symmetric_mean(shares.sum(dim=axis)) for axis in (2, 3)], dim=-1)
    return (((means - xy) / sides).abs().sum(dim=-1) * weights).mean()


class SymmetricMean(torch.autograd.Function):
    """The mean bin of distributions, with a gradient that pushes all bins equally hard.

    Honestly derived, d mean / d share is the bin's number: bins at the right would be moved more than those at the
    left. AlphaPose's gradient is +2 right of the mean and -2 left of it.
    """

    @staticmethod
    def forward(ctx: Any, shares: torch.Tensor) -> torch.Tensor:
        """Return means (B, K) of shares (B, K, bins)."""
        bins = torch.arange(shares.shape[-1], dtype=shares.dtype, device=shares.device)
        means = (shares * bins).sum(dim=-1)
        ctx.save_for_backward(bins, means)
        return means

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        """Return the gradient (B, K, bins)."""
        bins, means = ctx.saved_tensors
        side = torch.where(bins < means[..., None], -AMPLITUDE, AMPLITUDE)
        return grads[0][..., None] * side


def symmetric_mean(shares: torch.Tensor) -> torch.Tensor:
    """Return the mean bin (B, K) of distributions (B, K, bins); see SymmetricMean."""
    mean: torch.Tensor = SymmetricMean.apply(shares)
    return mean
