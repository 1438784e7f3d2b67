"""Direct regression of (y, x, score) a keypoint, y and x in 0..1 of the input (MoveNet)."""

from collections.abc import Sequence

import numpy as np

from edge.types import F32, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import YxsCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], _codec: YxsCodec, spec: ModelSpec) -> list[Keypoints]:
    """Return one person an input; tensors: one (B, 1, K, 3) float32."""
    (values,) = tensors
    xy: F32 = values[..., 1::-1] * np.array(spec.image.wh, np.float32)
    return [Keypoints(*person) for person in zip(xy, values[..., 2], strict=True)]
