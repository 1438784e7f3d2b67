"""Integral regression: the mean position of a map, and a score that does not depend on its width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs import decode
from edge.codecs.flip import decode_flipped, flip_back
from runtimes.base import Array
from runtimes.codec_spec import IntegralCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    KeypointsSpec,
    ModelSpec,
    TensorSpec,
)

WIDTH, HEIGHT, STRIDE = 48, 64, 4
FACE = KeypointsSpec(name="face", names=("nose", "left_eye", "right_eye"), pairs=((1, 2),))
NORMS = ["sigmoid", "softmax", "divide_sum"]
seeds = st.integers(0, 2**32 - 1)


def spec(norm: str = "sigmoid", *, shift_flip: bool = False) -> ModelSpec:
    return ModelSpec(
        model="integral",
        task="pose-topdown",
        inputs=(),
        outputs=(TensorSpec(name="heatmap"),),
        image=ImageSpec(wh=(WIDTH * STRIDE, HEIGHT * STRIDE)),
        crop=CropSpec(kind="affine"),
        codec=IntegralCodec(norm=norm, shift_flip=shift_flip),
        keypoints=FACE,
    )


def gaussians(centres: Array, peak: float = 1.0) -> Array:
    """Positive maps (B, K, h, w) with a Gaussian at each centre (B, K, 2) in bins."""
    x = np.arange(WIDTH) - centres[..., :1]
    y = np.arange(HEIGHT) - centres[..., 1:]
    far = np.square(y)[..., :, None] + np.square(x)[..., None, :]
    return (peak * np.exp(-far / 8)).astype(np.float32)


def centres(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(12, (WIDTH - 13, HEIGHT - 13), (2, 3, 2))


def as_input(norm: str, positive: Array) -> Array:
    """What a network would give so that the norm makes a map of this shape."""
    floored = np.maximum(positive.astype(np.float64), 1e-12)
    maps = {"sigmoid": np.log(floored / (1 - floored)), "softmax": np.log(floored)}
    return maps.get(norm, positive).astype(np.float32)


@pytest.mark.parametrize("norm", NORMS)
@given(seed=seeds)
@settings(deadline=None, max_examples=15)
def test_gaussian_centres_are_recovered_below_a_bin(norm: str, seed: int) -> None:
    at = centres(seed)
    items = decode({"heatmap": as_input(norm, gaussians(at, 0.9))}, spec(norm))
    xy = np.concatenate([item.xy for item in items])
    np.testing.assert_allclose(xy, at * STRIDE, atol=0.02)


def test_the_score_is_the_confidence_and_not_the_share_of_the_mass() -> None:
    at = centres(0).round()
    wide = np.maximum(gaussians(at, 0.8), np.sqrt(gaussians(at, 0.8 * 0.8)))
    for positive in (gaussians(at, 0.8), wide):
        for item in decode({"heatmap": as_input("sigmoid", positive)}, spec()):
            np.testing.assert_allclose(item.scores, 0.8, rtol=1e-5)


@pytest.mark.parametrize("norm", ["softmax", "divide_sum"])
def test_other_norms_are_sure_of_everything(norm: str) -> None:
    maps = as_input(norm, gaussians(centres(1)))
    assert all((item.scores == 1).all() for item in decode({"heatmap": maps}, spec(norm)))


@pytest.mark.parametrize("norm", ["sigmoid", "softmax"])
@pytest.mark.parametrize("level", [-80.0, -15.0, 0.0, 90.0])
def test_a_flat_map_points_at_its_middle_whatever_its_level(norm: str, level: float) -> None:
    maps = np.full((1, 3, HEIGHT, WIDTH), level, np.float32)
    (item,) = decode({"heatmap": maps}, spec(norm))
    middle = ((WIDTH - 1) / 2 * STRIDE, (HEIGHT - 1) / 2 * STRIDE)
    np.testing.assert_allclose(item.xy[0], np.tile(middle, (3, 1)), rtol=1e-4)


@pytest.mark.parametrize("norm", ["sigmoid", "divide_sum"])
def test_a_map_of_nothing_is_no_keypoint(norm: str) -> None:
    nothing = -1e4 if norm == "sigmoid" else 0.0
    maps = np.full((1, 3, HEIGHT, WIDTH), nothing, np.float32)
    (item,) = decode({"heatmap": maps}, spec(norm))
    assert (item.xy == -STRIDE).all()
    assert (item.scores == 0).all()


@given(seeds)
@settings(deadline=None, max_examples=15)
def test_the_flip_test_averages_keypoints_not_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain, mirrored = rng.normal(-4, 3, (2, 2, 3, HEIGHT, WIDTH)).astype(np.float32)
    model = spec(shift_flip=True)
    back = flip_back({"heatmap": mirrored}, model)
    np.testing.assert_array_equal(back["heatmap"][..., 1:], mirrored[:, [0, 2, 1], :, :0:-1])
    parts = zip(decode({"heatmap": plain}, model), decode(back, model), strict=True)
    got = decode_flipped({"heatmap": plain}, {"heatmap": mirrored}, model)
    for item, (a, b) in zip(got, parts, strict=True):
        np.testing.assert_allclose(item.xy, (a.xy + b.xy) / 2, rtol=1e-6)
        np.testing.assert_allclose(item.scores, (a.scores + b.scores) / 2, rtol=1e-6)


def test_a_network_that_mirrors_exactly_gains_nothing_from_the_flip_test() -> None:
    maps = as_input("sigmoid", gaussians(centres(3), 0.9))
    model = spec()
    mirrored = flip_back({"heatmap": maps}, model)
    plain = decode({"heatmap": maps}, model)
    for got, want in zip(decode_flipped({"heatmap": maps}, mirrored, model), plain, strict=True):
        np.testing.assert_allclose(got.xy, want.xy, atol=1e-3)
