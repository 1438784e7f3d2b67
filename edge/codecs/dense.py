"""Dense maps (segmentation, depth, normals): read as they are, then resized bilinearly to the frame.

Maps keep the network's resolution until `fit_frame`, so that they are interpolated once, as in the demos of Sapiens
(arXiv:2408.12569). Segmentations stay class logits; their argmax is `DenseMap.labels`.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from edge.geometry import Size, letterbox_wh
from edge.types import F32, DenseMap
from runtimes.base import Array
from runtimes.codec_spec import DenseCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

# Keeps a normal of length zero finite (the demos' constant).
EPSILON = 1e-5


def decode(tensors: Sequence[Array], _codec: DenseCodec, spec: ModelSpec) -> list[DenseMap]:
    """Return one map an input, at the network's resolution; tensors: one (B, C, h, w) float32.

    The map spans the whole input: cell (x, y) covers 1/w by 1/h of it. Raises InputError where a segmentation has
    another number of channels than classes.
    """
    (values,) = tensors
    classes = spec.classes or ()
    if classes and len(classes) != values.shape[1]:
        raise InputError(
            f"{spec.model}: {values.shape[1]} channels for {len(classes)} classes; check classes in artifact.json"
        )
    return [DenseMap(item, classes) for item in values]


def fit_frame(found: DenseMap, spec: ModelSpec, frame_wh: Size) -> DenseMap:
    """Return a map resized to the frame: float32 (C, H, W).

    Bilinear between cell centres (PyTorch's align_corners=False). Raises InputError for a model whose crop is not the
    whole frame, stretched or letterboxed.
    """
    match spec.crop.kind:
        case "stretch":
            values = resize(found.values, frame_wh)
        case "letterbox":
            width, height = letterbox_wh(frame_wh, spec.image.wh)
            values = resize(
                resize(found.values, spec.image.wh)[:, :height, :width],
                frame_wh,
            )
        case kind:
            raise InputError(
                f"{spec.model}: a map needs the whole frame, stretched or letterboxed, and its crop is {kind}; "
                "check crop in artifact.json"
            )
    if isinstance(spec.codec, DenseCodec) and spec.codec.scale == "unit":
        values /= np.linalg.norm(values, axis=0, keepdims=True) + EPSILON
    return DenseMap(values, found.classes)


def resize(values: F32, wh: Size) -> F32:
    """Return float32 (C, H, W) resized to `wh` bilinearly, as a new array."""
    width, height = wh
    resized: F32 = np.empty((len(values), height, width), np.float32)
    # Channel by channel: OpenCV takes channels last and only a few of them, and each plane is contiguous here.
    for source, target in zip(values, resized, strict=True):
        cv2.resize(np.ascontiguousarray(source), wh, dst=target, interpolation=cv2.INTER_LINEAR)
    return resized
