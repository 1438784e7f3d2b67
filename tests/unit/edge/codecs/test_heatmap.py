"""Heatmaps: peaks refined below a bin."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codecs import decode
from edge.types import Keypoints
from runtimes.base import Array
from runtimes.codec_spec import HeatmapCodec
from runtimes.spec import (
    CropSpec,
    ImageSpec,
    ModelSpec,
    TensorSpec,
)

WIDTH, HEIGHT, STRIDE = 48, 64, 4
SIGMA = 2.0


def spec(refine: str) -> ModelSpec:
    return ModelSpec(
        model="heatmap",
        task="pose-topdown",
        inputs=(),
        outputs=(TensorSpec(name="heatmap"),),
        image=ImageSpec(wh=(WIDTH * STRIDE, HEIGHT * STRIDE)),
        crop=CropSpec(kind="affine"),
        codec=HeatmapCodec(refine=refine),
    )


def gaussians(centres: Array) -> Array:
    """Heatmaps (B, K, h, w) with a Gaussian at each centre (B, K, 2) in bins."""
    x = np.arange(WIDTH) - centres[..., :1]
    y = np.arange(HEIGHT) - centres[..., 1:]
    far = np.square(y)[..., :, None] + np.square(x)[..., None, :]
    return np.exp(-far / (2 * SIGMA**2)).astype(np.float32)


def bins(seed: int, count: int = 17, margin: float = 8.0) -> Array:
    high = (WIDTH - 1 - margin, HEIGHT - 1 - margin)
    return np.random.default_rng(seed).uniform(margin, high, (2, count, 2))


def in_bins(items: list[Keypoints], refine: str) -> Array:
    scale = np.array((WIDTH * STRIDE, HEIGHT * STRIDE), np.float64)
    size = np.array((WIDTH, HEIGHT))
    if refine == "udp":
        scale, size = scale - 1, size - 1
    return np.concatenate([item.xy for item in items]) * size / scale


@pytest.mark.parametrize(
    ("refine", "within"),
    # A rounded peak is off by half a bin at most; the quarter shift halves that; the parabola is exact on Gaussians.
    [("none", 0.5), ("shift", 0.25), ("dark", 0.01), ("udp", 0.01)],
)
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_gaussian_centres_are_recovered(refine: str, within: float, seed: int) -> None:
    centres = bins(seed)
    items = decode({"heatmap": gaussians(centres)}, spec(refine))
    assert [item.xy.shape for item in items] == [(1, 17, 2)] * 2
    assert np.abs(in_bins(items, refine) - centres).max() <= within + 1e-4


@pytest.mark.parametrize("refine", ["none", "shift", "dark", "udp"])
def test_a_flat_map_is_no_keypoint_and_an_edge_peak_stays_near_the_edge(refine: str) -> None:
    maps = gaussians(np.array([[(20, 30), (20, 30), (0, 0), (WIDTH - 1, HEIGHT - 1)]]))
    maps[0, 0] = 0
    maps[0, 1] = -1
    items = decode({"heatmap": maps}, spec(refine))
    found = in_bins(items, refine)[0]
    np.testing.assert_allclose(found[:2], -1, atol=1e-6)
    np.testing.assert_allclose(items[0].scores[0], [0, -1, 1, 1])
    np.testing.assert_allclose(found[2:], [(0, 0), (WIDTH - 1, HEIGHT - 1)], atol=0.75)


def test_udp_spans_the_input_between_the_outermost_pixel_centres() -> None:
    corner = np.zeros((1, 2, HEIGHT, WIDTH), np.float32)
    corner[0, 0, 0, 0] = corner[0, 1, -1, -1] = 1
    plain = decode({"heatmap": corner}, spec("none"))[0].xy[0]
    np.testing.assert_allclose(plain, [(0, 0), (188, 252)])
    centres = bins(1)
    scale = np.array([191 / 47, 255 / 63])
    items = decode({"heatmap": gaussians(centres)}, spec("udp"))
    assert np.abs(np.concatenate([item.xy for item in items]) - centres * scale).max() < 0.05


@pytest.mark.parametrize("refine", ["none", "shift", "dark", "udp"])
def test_a_batch_is_each_map_alone_and_is_left_as_it_was(refine: str) -> None:
    maps = np.random.default_rng(0).random((3, 5, HEIGHT, WIDTH), np.float32)
    before = maps.copy()
    together = decode({"heatmap": maps}, spec(refine))
    np.testing.assert_array_equal(maps, before)
    for i in range(3):
        for k in range(5):
            (alone,) = decode({"heatmap": maps[i : i + 1, k : k + 1]}, spec(refine))
            np.testing.assert_allclose(together[i].xy[:, k], alone.xy[:, 0], atol=1e-3)


@pytest.mark.parametrize("x", [0, 1, 2, 20, WIDTH - 2, WIDTH - 1])
@pytest.mark.parametrize("y", [0, 1, 2, 20, HEIGHT - 2, HEIGHT - 1])
def test_the_quarter_shift_reaches_as_near_to_the_edge_as_in_mmpose(x: int, y: int) -> None:
    """Mmpose's refine_keypoints: along x where 1 < x < W - 1 and 0 < y < H, along y likewise."""
    centre = np.array(
        [[(x + 0.3, y + 0.3)]]
    )  # the right and the lower neighbour are the higher ones
    (item,) = decode({"heatmap": gaussians(centre)}, spec("shift"))
    along_x = 0.25 if 1 < x < WIDTH - 1 and y > 0 else 0
    along_y = 0.25 if 1 < y < HEIGHT - 1 and x > 0 else 0
    np.testing.assert_allclose(in_bins([item], "shift")[0, 0], (x + along_x, y + along_y))


@pytest.mark.parametrize("x", [0, 1, 2, WIDTH - 3, WIDTH - 2, WIDTH - 1])
@pytest.mark.parametrize("y", [0, 1, 2, HEIGHT - 3, HEIGHT - 2, HEIGHT - 1])
def test_the_shift_inside_needs_room_on_both_axes(x: int, y: int) -> None:
    """AlphaPose's heatmap_to_coord_simple: both axes where 1 < x < W - 1 and 1 < y < H - 1, else neither."""
    (item,) = decode({"heatmap": gaussians(np.array([[(x - 0.3, y - 0.3)]]))}, spec("shift-inside"))
    moved = -0.25 if 1 < x < WIDTH - 1 and 1 < y < HEIGHT - 1 else 0
    np.testing.assert_allclose(in_bins([item], "shift-inside")[0, 0], (x + moved, y + moved))
