"""MoveNet's direct regression."""

import numpy as np

from edge.codecs import decode
from runtimes.codec_spec import YxsCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
)


def test_y_and_x_are_fractions_of_the_input() -> None:
    spec = ModelSpec(
        model="movenet",
        task="pose-single",
        inputs=(),
        outputs=(TensorSpec(name="poses"),),
        image=ImageSpec(wh=(192, 128)),
        crop=CropSpec(kind="square"),
        codec=YxsCodec(),
    )
    values = np.array([[[[0.5, 0.25, 0.9]]], [[[1.0, 0.0, 0.1]]]], np.float32)
    first, second = decode({"poses": values}, spec)
    assert first.xy.tolist() == [[[48.0, 64.0]]]
    assert second.xy.tolist() == [[[0.0, 128.0]]]
    np.testing.assert_allclose([*first.scores[0], *second.scores[0]], [0.9, 0.1])
