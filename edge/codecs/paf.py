"""Part heatmaps and part affinity fields decoded to any number of people (OpenPose, arXiv:1812.08008).

`paf_peaks` finds candidates and `paf_group` assembles people; this module enlarges maps and converts bins to pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from edge.codecs.paf_group import ABSENT, group_peaks
from edge.codecs.paf_peaks import find_peaks
from edge.types import F32, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import PafCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], codec: PafCodec, spec: ModelSpec) -> list[Keypoints]:
    """Return the people of each input, in the order of their assembly; N may be 0.

    tensors: heatmaps (B, K + 1, h, w) and fields (B, 2 L, h, w), or one tensor that holds both, heatmaps first.
    A keypoint that was not found has xy 0 and score 0; those found score at least `codec.peak_score`.
    Raises InputError where channels, limbs and keypoints do not agree.
    """
    joined = np.concatenate(tensors, axis=1) if len(tensors) > 1 else tensors[0]
    parts, pairs = len(spec.keypoints.names) if spec.keypoints else 0, 2 * len(codec.limbs)
    _check_channels(joined.shape[1], parts, codec, spec.model)
    return [decode_one(maps[:parts], maps[-pairs:], codec, spec.image.wh) for maps in joined]


def decode_one(heatmaps: F32, fields: F32, codec: PafCodec, input_wh: tuple[int, int]) -> Keypoints:
    """Return the people of one input, in its pixels; heatmaps (K, h, w) without background, fields (2 L, h, w)."""
    if codec.upsample > 1:
        heatmaps, fields = (enlarge(maps, codec.upsample) for maps in (heatmaps, fields))
    parts, height, width = heatmaps.shape
    peaks = find_peaks(heatmaps, codec)
    people = group_peaks(peaks, fields, codec, parts)
    members = np.array([person.members for person in people], np.intp).reshape(-1, parts)
    found = members != ABSENT
    # a bin covers its pixels: its centre lies half a bin less half a pixel behind the first of them
    pixels = (peaks.xy + 0.5) * np.array(input_wh) / (width, height) - 0.5
    xy = np.zeros((*members.shape, 2), np.float32)
    scores = np.zeros(members.shape, np.float32)
    xy[found], scores[found] = pixels[members[found]], peaks.scores[members[found]]
    return Keypoints(xy, scores)


def _check_channels(channels: int, parts: int, codec: PafCodec, model: str) -> None:
    if codec.upsample < 1 or codec.peak_score <= 0:
        raise InputError(
            f"{model}: codec.upsample must be at least 1 and codec.peak_score above 0 in artifact.json"
        )
    pairs = 2 * len(codec.limbs)
    wanted = parts + 1 + pairs
    if channels != wanted or not parts or not pairs:
        raise InputError(
            f"{model}: {parts} keypoints and {len(codec.limbs)} limbs need {wanted} channels, got {channels}; "
            "correct keypoints or codec.limbs in artifact.json"
        )
    if any(max(limb.ends) >= parts or max(limb.channels) >= pairs for limb in codec.limbs) or any(
        min(*limb.ends, *limb.channels) < 0 for limb in codec.limbs
    ):
        raise InputError(
            f"{model}: a limb names a keypoint outside 0..{parts - 1} or a channel outside 0..{pairs - 1}; "
            "correct codec.limbs in artifact.json"
        )


def enlarge(maps: F32, times: int) -> F32:
    """Return maps (C, h, w) enlarged bicubically to (C, h * times, w * times)."""
    _, height, width = maps.shape
    size = (width * times, height * times)
    large: F32 = np.stack([cv2.resize(each, size, interpolation=cv2.INTER_CUBIC) for each in maps])
    return large
