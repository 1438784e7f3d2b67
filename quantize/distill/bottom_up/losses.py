"""Losses of a bottom-up model: heatmaps, and tags that are alike within a person and differ between people.

Associative embedding (arXiv:1611.05424) as HigherHRNet's authors and mmpose 0.x (AELoss "exp") weigh and normalise it,
one tag a keypoint. Of a picture with N people, t_nk the tag at keypoint k of person n, m_n the mean of its tags:

    pull = 1/N sum_n mean_k (t_nk - m_n)^2
    push = 1/2 * 1/(N (N - 1)) * sum_{n != n'} exp(-(m_n - m_n')^2)

The paper sums over keypoints, divides the push term by N^2, counts n = n' (a constant), and leaves sigma open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from quantize.distill.losses.functional import heatmap_mse

# Of the pull and of the push loss, the heatmaps' being 1 (configs of HigherHRNet and mmpose).
TAG_WEIGHT = 1e-3


@dataclass(frozen=True, slots=True)
class TagPlaces:
    """Bins where the tags of one picture are read, int64 (N, K), y * w + x; seen: bool (N, K), which are labelled."""

    bins: torch.Tensor
    seen: torch.Tensor

    def to(self, device: torch.device) -> "TagPlaces":
        """Return the places on a device."""
        return TagPlaces(self.bins.to(device), self.seen.to(device))


def tag_losses(
    tags: torch.Tensor, places: Sequence[TagPlaces]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pull and the push loss of tags (B, K, h, w), unweighted, each a mean over the pictures.

    A picture without people has 0 of both, one with a single person no push loss.
    """
    pairs = [
        picture_tag_losses(maps.flatten(1), each) for maps, each in zip(tags, places, strict=True)
    ]
    pull, push = (torch.stack(parts).mean() for parts in zip(*pairs, strict=True))
    return pull, push


def picture_tag_losses(tags: torch.Tensor, places: TagPlaces) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pull and the push loss of one picture's tags (K, h * w), over its people with a labelled keypoint."""
    people = places.seen.any(dim=1)
    seen = places.seen[people].to(tags.dtype)
    count = len(seen)
    if not count:
        nothing = tags.new_zeros(())
        return nothing, nothing
    own = tags.gather(1, places.bins[people].T).T
    shares = seen / seen.sum(dim=1, keepdim=True)
    means = (own * shares).sum(dim=1)
    pull = ((own - means[:, None]).square() * shares).sum(dim=1).mean()
    alike = (-(means[:, None] - means).square()).exp()
    # the sum over both orders of a pair, halved
    push = alike.triu(diagonal=1).sum() / max(count * (count - 1), 1)
    return pull, push


def bottom_up_losses(
    heatmaps: torch.Tensor,
    tags: torch.Tensor,
    target: torch.Tensor,
    known: torch.Tensor,
    places: Sequence[TagPlaces],
) -> dict[str, torch.Tensor]:
    """Return the weighted losses of a batch, `heatmap`, `pull` and `push`.

    heatmaps, tags, target: (B, K, h, w). known: (B, 1, h, w), 0 where heatmaps are not learned. The mean squared error
    is over all bins, unknown ones included, so that the mean of several processes' losses is the whole batch's.
    """
    pull, push = tag_losses(tags, places)
    return {
        "heatmap": heatmap_mse(heatmaps, target, known),
        "pull": TAG_WEIGHT * pull,
        "push": TAG_WEIGHT * push,
    }
