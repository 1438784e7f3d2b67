"""Flip test: mirrored outputs, mirrored back."""

import numpy as np
import pytest

from edge.codecs import decode
from edge.codecs.flip import flip_back
from runtimes.base import Outputs
from runtimes.codec_spec import (
    Codec,
    HeatmapCodec,
    SimCCCodec,
    YxsCodec,
)
from runtimes.errors import InputError
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    KeypointsSpec,
    ModelSpec,
    TensorSpec,
)

FACE = KeypointsSpec(name="face", names=("nose", "left_eye", "right_eye"), pairs=((1, 2),))
OUTPUTS = {"simcc": ("simcc_x", "simcc_y"), "heatmap": ("heatmap",), "yxs": ("poses",)}


def spec(kind: str, codec: Codec, keypoints: KeypointsSpec | None = FACE) -> ModelSpec:
    return ModelSpec(
        model="face",
        task="pose-topdown",
        inputs=(),
        outputs=tuple(TensorSpec(name=name) for name in OUTPUTS[kind]),
        image=ImageSpec(wh=(48, 64)),
        crop=CropSpec(kind="affine"),
        codec=codec,
        keypoints=keypoints,
    )


def simcc_outputs() -> Outputs:
    rng = np.random.default_rng(0)
    return {
        "simcc_x": rng.random((2, 3, 96), np.float32),
        "simcc_y": rng.random((2, 3, 128), np.float32),
    }


def heatmap_outputs() -> Outputs:
    return {"heatmap": np.random.default_rng(1).random((2, 3, 16, 12), np.float32)}


CASES = [
    ("simcc", SimCCCodec(), simcc_outputs()),
    ("heatmap", HeatmapCodec(), heatmap_outputs()),
]


@pytest.mark.parametrize(("kind", "codec", "outputs"), CASES)
def test_twice_is_nothing(kind: str, codec: Codec, outputs: Outputs) -> None:
    model = spec(kind, codec)
    there = flip_back(outputs, model)
    back = flip_back(there, model)
    assert list(back) == list(outputs)
    for name, values in outputs.items():
        np.testing.assert_array_equal(back[name], values)
        assert (there[name] != values).any()


@pytest.mark.parametrize(
    ("kind", "codec", "outputs", "last"),
    [(*CASES[0], 95 / 2), (*CASES[1], 11 * 48 / 12)],
)
def test_points_are_mirrored_and_sides_change_names(
    kind: str, codec: Codec, outputs: Outputs, last: float
) -> None:
    if kind == "heatmap":
        codec = HeatmapCodec(refine="none")
    model = spec(kind, codec)
    plain, flipped = decode(outputs, model), decode(flip_back(outputs, model), model)
    for was, now in zip(plain, flipped, strict=True):
        mirrored = was.xy[:, [0, 2, 1]]
        mirrored[..., 0] = last - mirrored[..., 0]
        np.testing.assert_allclose(now.xy, mirrored)
        np.testing.assert_array_equal(now.scores, was.scores[:, [0, 2, 1]])


def test_shift_flip_moves_the_map_one_bin_right() -> None:
    outputs = heatmap_outputs()
    plain = flip_back(outputs, spec("heatmap", HeatmapCodec()))["heatmap"]
    moved = flip_back(outputs, spec("heatmap", HeatmapCodec(shift_flip=True)))["heatmap"]
    np.testing.assert_array_equal(moved[..., 1:], plain[..., :-1])
    np.testing.assert_array_equal(moved[..., 0], plain[..., 0])


@pytest.mark.parametrize(
    "model", [spec("yxs", YxsCodec()), spec("heatmap", HeatmapCodec(), keypoints=None)]
)
def test_models_without_a_flip_test_say_so(model: ModelSpec) -> None:
    with pytest.raises(InputError, match="cannot be flip-tested"):
        flip_back(heatmap_outputs(), model)
