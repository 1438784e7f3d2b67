"""SimCC: bins back to pixels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs import decode
from runtimes.base import Array
from runtimes.codec_spec import SimCCCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
)

SPLIT = 2.0
SPEC = ModelSpec(
    model="simcc",
    task="pose-topdown",
    inputs=(),
    outputs=(TensorSpec(name="simcc_x"), TensorSpec(name="simcc_y")),
    image=ImageSpec(wh=(192, 256)),
    crop=CropSpec(kind="affine"),
    codec=SimCCCodec(split_ratio=SPLIT),
)


def gaussians(centres: Array, bins: int) -> Array:
    """One Gaussian of unit height a row: centres (B, K) in bins -> (B, K, bins)."""
    return np.exp(-np.square(np.arange(bins) - centres[..., None]) / 72).astype(np.float32)


@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_encoded_points_come_back_within_a_bin(batch: int, points: int, seed: int) -> None:
    xy = np.random.default_rng(seed).uniform(0, (191, 255), (batch, points, 2))
    outputs = {
        "simcc_x": gaussians(xy[..., 0] * SPLIT, 384),
        "simcc_y": gaussians(xy[..., 1] * SPLIT, 512),
    }
    decoded = decode(outputs, SPEC)
    assert len(decoded) == batch
    for item, truth in zip(decoded, xy, strict=True):
        assert item.xy.shape == (1, points, 2)
        assert np.abs(item.xy[0] - truth).max() <= 0.5 / SPLIT + 1e-4


def test_the_score_is_the_lower_peak_and_nothing_lies_at_minus_one_bin() -> None:
    x = np.full((1, 3, 384), -1, np.float32)
    y = np.full((1, 3, 512), -1, np.float32)
    x[0, :, 10] = 0.9, 0.4, 0.5
    y[0, :, 21] = 0.7, 0.8, 0.0
    (item,) = decode({"simcc_x": x, "simcc_y": y}, SPEC)
    np.testing.assert_allclose(item.scores, [[0.7, 0.4, 0]])
    np.testing.assert_allclose(item.xy, [[(5, 10.5), (5, 10.5), (-0.5, -0.5)]])


def test_a_batch_is_each_input_alone() -> None:
    rng = np.random.default_rng(0)
    outputs = {
        "simcc_x": rng.normal(size=(4, 17, 384)).astype(np.float32),
        "simcc_y": rng.normal(size=(4, 17, 512)).astype(np.float32),
    }
    for i, item in enumerate(decode(outputs, SPEC)):
        (alone,) = decode({name: values[i : i + 1] for name, values in outputs.items()}, SPEC)
        np.testing.assert_array_equal(item.xy, alone.xy)
        np.testing.assert_array_equal(item.scores, alone.scores)
