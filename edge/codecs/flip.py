"""Flip test: outputs of the mirrored input, mirrored back and averaged with the plain ones.

Peak-based codecs average the maps; integral regression averages the decoded keypoints.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edge.codecs import decode_poses
from edge.schema import KeypointSchema
from edge.types import Indices, Keypoints
from runtimes.base import Array, Outputs
from runtimes.codec_spec import HeatmapCodec, IntegralCodec, SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

HALF = np.float32(0.5)


def decode_flipped(
    plain: Mapping[str, Array], mirrored: Mapping[str, Array], spec: ModelSpec
) -> list[Keypoints]:
    """Decode the outputs of a batch together with those of the same inputs mirrored; xy in input pixels.

    Raises InputError where `flip_back` does.
    """
    back = flip_back(mirrored, spec)
    if isinstance(spec.codec, IntegralCodec):
        pairs = zip(decode_poses(plain, spec), decode_poses(back, spec), strict=True)
        return [Keypoints((a.xy + b.xy) * HALF, (a.scores + b.scores) * HALF) for a, b in pairs]
    mean = {name: (plain[name] + values) * HALF for name, values in back.items()}
    return decode_poses(mean, spec)


def flip_back(outputs: Mapping[str, Array], spec: ModelSpec) -> Outputs:
    """Return the outputs of a left-right mirrored input, mirrored back.

    outputs: {name: (B, K, ...)} of a simcc, heatmap or integral model; left and right keypoints change places.
    Raises InputError for another codec, and for a model without keypoint names.
    """
    flip = _FLIPS.get(type(spec.codec))
    if flip is None or spec.keypoints is None:
        raise InputError(
            f"{spec.model} cannot be flip-tested: it has no SimCC, heatmap or integral keypoints"
        )
    order = KeypointSchema.from_spec(spec.keypoints).flip_order
    names = [tensor.name for tensor in spec.outputs]
    return dict(zip(names, flip([outputs[name] for name in names], order, spec.codec), strict=True))


def _flip_simcc(tensors: list[Array], order: Indices, _codec: SimCCCodec) -> list[Array]:
    simcc_x, simcc_y = tensors
    return [simcc_x[:, order, ::-1], simcc_y[:, order]]


def _flip_heatmap(
    tensors: list[Array], order: Indices, codec: HeatmapCodec | IntegralCodec
) -> list[Array]:
    (heatmaps,) = tensors
    flipped = heatmaps[:, order, :, ::-1]
    if codec.shift_flip:
        # A mirrored stride-4 map is off by most of a bin; shifting it one bin to the right halves the error (mmpose).
        flipped = np.concatenate([flipped[..., :1], flipped[..., :-1]], axis=3)
    return [flipped]


_FLIPS: dict[type, Callable[[list[Array], Indices, Any], list[Array]]] = {
    SimCCCodec: _flip_simcc,
    HeatmapCodec: _flip_heatmap,
    IntegralCodec: _flip_heatmap,
}
