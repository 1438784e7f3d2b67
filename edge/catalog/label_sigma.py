"""Widths of training labels: the sigma (x, y) of the Gaussian that a keypoint is, in bins, by input size."""

import math

import msgspec

from edge.geometry import Size
from runtimes.codec_spec import Codec, HeatmapCodec

Sigma = tuple[float, float]

# Two bins of a map of 48 x 64 (mmpose, ViTPose, AlphaPose); mmpose has three of 72 x 96.
HEATMAP_PART = (2 / 48, 2 / 64)


def simcc_label_sigma(input_wh: Size, split_ratio: float = 2.0) -> Sigma:
    """Return the sigma of SimCC labels in bins: RTMPose's equation 6, sqrt(W_S / 16) for W_S bins (arXiv:2303.07399).

    Rounded to hundredths, as mmpose's configs have it: 4.9 and 5.66 at 192 x 256.
    """
    across, down = (round(math.sqrt(side * split_ratio / 16), 2) for side in input_wh)
    return across, down


def scaled_simcc_sigma(input_wh: Size) -> Sigma:
    """Return the sigma of SimCC labels that students of edgepose 0.1 learned: that of 192 x 256, scaled."""
    return 4.9 * input_wh[0] / 192, 5.66 * input_wh[1] / 256


def with_label_sigma(codec: Codec, map_hw: Size) -> Codec:
    """Return a heatmap codec with the sigma of labels on maps of that size; other codecs as they are."""
    if not isinstance(codec, HeatmapCodec):
        return codec
    height, width = map_hw
    sigma = width * HEATMAP_PART[0], height * HEATMAP_PART[1]
    return msgspec.structs.replace(codec, sigma=sigma)
