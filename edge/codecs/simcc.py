"""SimCC: a keypoint is the best x bin and the best y bin, which are finer than pixels by the split ratio.

After mmpose's get_simcc_maximum and SimCCLabel (SimCC, arXiv:2107.03332; RTMPose, arXiv:2303.07399).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.types import F32, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import SimCCCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], codec: SimCCCodec, _spec: ModelSpec) -> list[Keypoints]:
    """Return one person an input.

    tensors: x bins (B, K, W * split) and y bins (B, K, H * split), float32 logits. The score is the lower of the two
    peaks; where it is not positive the keypoint lies at bin -1.
    """
    (x, x_peaks), (y, y_peaks) = (_find_peaks(bins) for bins in tensors)
    xy: F32 = np.stack([x, y], axis=2).astype(np.float32)
    scores = np.minimum(x_peaks, y_peaks)
    xy[scores <= 0] = -1
    xy /= codec.split_ratio
    return [Keypoints(xy[i : i + 1], scores[i : i + 1]) for i in range(len(xy))]


def _find_peaks(bins: Array) -> tuple[NDArray[np.intp], F32]:
    """Return the best bin (B, K) and its value, looked up: a second pass for the maximum takes twice as long."""
    best = bins.argmax(axis=2)
    peaks: F32 = np.take_along_axis(bins, best[:, :, None], axis=2)[:, :, 0]
    return best, peaks
