"""Split heatmaps as compressed bytes, one person each, for caches on disk.

Peaks are stored in float32, which keeps their place exact; the rest of a map in int8, a scale a map, so that an error
is at most half a step: 1/254 of the largest value of that rest. zlib packs the result, most of which is near zero.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from edge.geometry import Size
from quantize.distill.data.split_maps import SplitMaps

STEPS = 127  # of int8, on either side of zero


def pack(split: SplitMaps) -> list[bytes]:
    """Return the compressed record of each person."""
    batch, count, height, width = split.rest.shape
    scales = np.abs(split.rest).max(axis=(2, 3)) / STEPS
    steps = np.where(scales > 0, scales, 1)[:, :, None, None]
    records = np.empty(batch, _layout(count, (width, height)))
    records["xy"], records["heights"] = split.xy, split.heights
    records["amplitudes"], records["scales"] = split.amplitudes, scales
    records["rest"] = np.rint(split.rest / steps)
    return [zlib.compress(record.tobytes()) for record in records]


def unpack(packed: Sequence[bytes], keypoints: int, map_wh: Size) -> SplitMaps:
    """Return the people's split maps; raises zlib.error or ValueError for bytes that are no such records."""
    layout = _layout(keypoints, map_wh)
    records = np.concatenate([np.frombuffer(zlib.decompress(each), layout, 1) for each in packed])
    rest = records["rest"] * records["scales"][:, :, None, None]
    return SplitMaps(records["xy"], records["heights"], records["amplitudes"], rest)


def _layout(keypoints: int, map_wh: Size) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("xy", "<f4", (keypoints, 2)),
            ("heights", "<f4", (keypoints,)),
            ("amplitudes", "<f4", (keypoints,)),
            ("scales", "<f4", (keypoints,)),
            ("rest", "i1", (keypoints, map_wh[1], map_wh[0])),
        ]
    )
