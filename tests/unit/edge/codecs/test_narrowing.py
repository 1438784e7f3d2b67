"""decode_poses, decode_boxes, decode_map: one kind of result, or an error that says what is wrong."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from edge.codecs import decode_boxes, decode_map, decode_poses
from edge.types import DenseMap, Detections, Keypoints
from runtimes.base import Array
from runtimes.codec_spec import BoxesCodec, Codec, DenseCodec, YxsCodec
from runtimes.errors import InputError
from runtimes.spec import CropSpec, ImageSpec, ModelSpec, Task, TensorSpec

BATCH = 2
OUTPUTS: dict[type, dict[str, Array]] = {
    YxsCodec: {"poses": np.full((BATCH, 1, 3, 3), 0.5, np.float32)},
    BoxesCodec: {
        "dets": np.full((BATCH, 1, 5), 0.5, np.float32),
        "labels": np.zeros((BATCH, 1), np.int64),
    },
    DenseCodec: {"map": np.zeros((BATCH, 1, 4, 4), np.float32)},
}
Decode = Callable[[Mapping[str, Array], ModelSpec], object]
Kind = tuple[Decode, Codec, Task, type]
KINDS: tuple[Kind, ...] = (
    (decode_poses, YxsCodec(), "pose-single", Keypoints),
    (decode_boxes, BoxesCodec(), "detect", Detections),
    (decode_map, DenseCodec(), "depth", DenseMap),
)


def spec(codec: Codec, task: Task) -> ModelSpec:
    return ModelSpec(
        model="any",
        task=task,
        inputs=(),
        outputs=tuple(TensorSpec(name=name) for name in OUTPUTS[type(codec)]),
        image=ImageSpec(wh=(8, 8)),
        crop=CropSpec(kind="stretch"),
        codec=codec,
    )


@pytest.mark.parametrize(("decode", "codec", "task", "kind"), KINDS)
def test_one_item_of_the_kind_an_input(
    decode: Decode, codec: Codec, task: Task, kind: type
) -> None:
    items = decode(OUTPUTS[type(codec)], spec(codec, task))
    assert isinstance(items, list)
    assert [type(item) for item in items] == [kind] * BATCH


OTHERS = [(mine, other) for mine in KINDS for other in KINDS if mine is not other]


@pytest.mark.parametrize(("mine", "other"), OTHERS)
def test_a_codec_of_another_kind_is_refused(mine: Kind, other: Kind) -> None:
    decode, _, task, _ = mine
    codec, gives = other[1], other[3]
    with pytest.raises(InputError, match=f"gives {gives.__name__}, and task {task} needs"):
        decode(OUTPUTS[type(codec)], spec(codec, task))
