"""Targets of a bottom-up model: heatmaps of all people, the bins where their tags are read, and what is unknown.

Plain numpy; keypoints and boxes are in input pixels. Bin 0 of a map is pixel 0, and a bin is W / w pixels wide, as the
decoder has it (`edge.codecs.ae`, refine "shift").
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Size
from edge.types import F32
from quantize.distill.data.targets import heatmaps

# Standard deviation of the Gaussians in bins, whatever the person's size (HigherHRNet, arXiv:1908.10357; mmpose).
SIGMA_BINS = 2.0


@dataclass(frozen=True, slots=True)
class PictureTargets:
    """Targets of one picture.

    heatmaps: float32 (K, h, w), of every keypoint the highest Gaussian of all people. known: float32 (1, h, w), 0 where
    people may be whom nobody labelled. bins: int64 (N, K), y * w + x of each person's keypoints; seen: bool (N, K),
    which of them are labelled and on the map, of N people with at least one.
    """

    heatmaps: F32
    known: F32
    bins: NDArray[np.int64]
    seen: NDArray[np.bool_]


def picture_targets(
    keypoints: F32, unlabelled: F32, input_wh: Size, map_wh: Size
) -> PictureTargets:
    """Return the targets of a picture.

    keypoints: float32 (N, K, 3), x, y and visibility (0: unlabelled). unlabelled: float32 (M, 4) xyxy, the boxes of
    crowds and of people without a labelled keypoint, where a heatmap is not to be learned.
    """
    width, height = map_wh
    stride = np.divide(input_wh, map_wh)
    places = keypoints[..., :2] / stride
    nearest = np.rint(places).astype(np.int64)
    on_map = ((nearest >= 0) & (nearest < (width, height))).all(axis=-1)
    seen = (keypoints[..., 2] > 0) & on_map
    people = seen.any(axis=1)
    places, nearest, seen = places[people], nearest[people], seen[people]
    maps = np.zeros((keypoints.shape[1], height, width), np.float32)
    sigma = np.full(2, SIGMA_BINS)
    for place, there in zip(places, seen, strict=True):
        maps[there] = np.maximum(maps[there], heatmaps(place[there], map_wh, sigma))
    bins = np.where(seen, nearest[..., 1] * width + nearest[..., 0], 0)
    return PictureTargets(maps, _known(unlabelled / np.tile(stride, 2), map_wh), bins, seen)


def _known(boxes: NDArray[np.floating], map_wh: Size) -> F32:
    """Return 1 where a bin lies in none of the boxes (M, 4), in bins, and 0 elsewhere: float32 (1, h, w)."""
    width, height = map_wh
    known: F32 = np.ones((1, height, width), np.float32)
    for left, top, right, bottom in boxes.clip(0, np.tile(map_wh, 2)).tolist():
        rows, columns = (
            slice(math.floor(low), math.ceil(high)) for low, high in ((top, bottom), (left, right))
        )
        known[0, rows, columns] = 0
    return known
