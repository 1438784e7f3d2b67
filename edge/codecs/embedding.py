"""Embeddings of appearance: a vector or a feature map an input, as the network gives it."""

from collections.abc import Sequence

import numpy as np

from edge.types import DenseMap
from runtimes.base import Array
from runtimes.codec_spec import EmbeddingCodec
from runtimes.spec import ModelSpec


def decode(tensors: Sequence[Array], _codec: EmbeddingCodec, _spec: ModelSpec) -> list[DenseMap]:
    """Return one map (D, h, w) an input; of a vector h = w = 1; tensors: one (B, D) or (B, D, h, w) float32."""
    (values,) = tensors
    maps = values.reshape(*values.shape[:2], *(values.shape[2:] or (1, 1)))
    return [DenseMap(np.ascontiguousarray(item, np.float32)) for item in maps]
