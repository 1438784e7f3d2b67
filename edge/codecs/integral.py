"""Symmetric integral regression: a keypoint is the mean position of its map, not the peak.

After AlphaPose (arXiv:2211.03375), in two steps: the map is made positive, which gives the score, then divided by its
sum to be a distribution. The score therefore does not depend on the width of the distribution.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edge.types import F32, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import IntegralCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], codec: IntegralCodec, spec: ModelSpec) -> list[Keypoints]:
    """Return one person an input; tensors: maps (B, K, h, w) float32, logits for sigmoid and softmax.

    The keypoint of a map that sums to 0 lies at bin -1 with score 0.
    """
    (maps,) = tensors
    height, width = maps.shape[2:]
    positive = normalise(maps, codec)
    bins = mean_bins(positive)
    xy: F32 = (bins * (np.array(spec.image.wh) / (width, height))).astype(np.float32)
    scores = _SCORES[codec.norm](positive)
    scores[(bins == -1).all(axis=2)] = 0
    return [Keypoints(xy[i : i + 1], scores[i : i + 1]) for i in range(len(xy))]


def normalise(maps: F32, codec: IntegralCodec) -> F32:
    """Return the maps (B, K, h, w) made positive by `codec.norm`: the first of the two steps."""
    return _NORMS[codec.norm](maps)


def mean_bins(positive: F32) -> F32:
    """Return the mean position (B, K, 2) of normalised maps (B, K, h, w), x and y in bins; -1 where they are empty."""
    height, width = positive.shape[2:]
    along_x, along_y = positive.sum(axis=2), positive.sum(axis=3)
    total = along_x.sum(axis=2)
    empty = total == 0
    mass = np.where(empty, 1, total)
    bins: F32 = np.stack([along_x @ _bins(width) / mass, along_y @ _bins(height) / mass], axis=2)
    bins[empty] = -1
    return bins


def _sigmoid(maps: F32) -> F32:
    # The background adds up, so its values must be exact; exp of a negative number never overflows.
    small = np.exp(-np.abs(maps))
    one = np.float32(1)
    values: F32 = np.where(maps < 0, small, one) / (one + small)
    return values


def _softmax(maps: F32) -> F32:
    values: F32 = np.exp(maps - maps.max(axis=(2, 3), keepdims=True))
    values /= values.sum(axis=(2, 3), keepdims=True)
    return values


def _divide_sum(maps: F32) -> F32:
    total = maps.sum(axis=(2, 3), keepdims=True)
    values: F32 = maps / np.where(total == 0, np.float32(1), total)
    return values


def _highest(positive: F32) -> F32:
    highest: F32 = positive.max(axis=(2, 3))
    return highest


def _one(positive: F32) -> F32:
    return np.ones(positive.shape[:2], np.float32)


def _bins(count: int) -> F32:
    return np.arange(count, dtype=np.float32)


_NORMS: dict[str, Callable[[F32], F32]] = {
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "divide_sum": _divide_sum,
}
_SCORES: dict[str, Callable[[F32], F32]] = {
    "sigmoid": _highest,
    "softmax": _one,
    "divide_sum": _one,
}
