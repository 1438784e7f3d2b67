"""Widths of training labels: the sigma (x, y) of the Gaussian that a keypoint is, in bins, by input size."""

import msgspec

from edge.geometry import Size
from runtimes.codec_spec import Codec, HeatmapCodec

Sigma = tuple[float, float]

# mmpose's configs of RTMPose: the square root of an eighth of each side.
SIMCC = {
    (192, 256): (4.9, 5.66),
    (256, 256): (5.66, 5.66),
    (288, 384): (6.0, 6.93),
}
# Two bins of a map of 48 x 64 (mmpose, ViTPose, AlphaPose); mmpose has three of 72 x 96.
HEATMAP_PART = (2 / 48, 2 / 64)


def simcc_label_sigma(input_wh: Size) -> Sigma:
    """Return the sigma of SimCC labels in half-pixel bins: of other sizes 192 x 256's, scaled, as students learn."""
    if input_wh in SIMCC:
        return SIMCC[input_wh]
    across, down = SIMCC[192, 256]
    return across * input_wh[0] / 192, down * input_wh[1] / 256


def with_label_sigma(codec: Codec, map_hw: Size) -> Codec:
    """Return a heatmap codec with the sigma of labels on maps of that size; other codecs as they are."""
    if not isinstance(codec, HeatmapCodec):
        return codec
    height, width = map_hw
    sigma = width * HEATMAP_PART[0], height * HEATMAP_PART[1]
    return msgspec.structs.replace(codec, sigma=sigma)
