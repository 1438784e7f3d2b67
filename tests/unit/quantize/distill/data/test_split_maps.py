"""Heatmaps as main peak and rest: exact for Gaussians, and harmless for anything else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantize.distill.data.split_maps import join_maps, split_maps
from quantize.distill.data.targets import heatmaps

MAP = (24, 32)
STRIDE = np.array((4.0, 4.0))
SIGMA = np.array((2.0, 1.5))


@pytest.mark.parametrize("sigma", [SIGMA, None], ids=["known", "fitted"])
@given(x=st.floats(1, 22), y=st.floats(1, 30), height=st.floats(0.01, 1.2))
def test_a_gaussian_is_all_peak(sigma, x, y, height) -> None:
    maps = np.float32(height) * heatmaps(np.array([[x, y]]), MAP, SIGMA)[None]
    split = split_maps(maps, STRIDE, sigma)
    np.testing.assert_allclose(split.xy[0, 0], (4 * x, 4 * y), atol=1e-3)
    np.testing.assert_allclose(split.heights, height, rtol=1e-4)
    np.testing.assert_allclose(split.amplitudes, height, rtol=1e-3)
    assert np.abs(split.rest).max() < 1e-3 * height


@pytest.mark.parametrize("x", [-0.9, 0.0, 0.3, 22.8, 23.9])
def test_a_peak_cut_by_the_border_keeps_its_place_and_height(x) -> None:
    split = split_maps(heatmaps(np.array([[x, 31.6]]), MAP, SIGMA)[None], STRIDE, SIGMA)
    np.testing.assert_allclose(split.xy[0, 0], (4 * x, 4 * 31.6), atol=1e-3)
    np.testing.assert_allclose(split.heights, 1, rtol=1e-4)
    assert np.abs(split.rest).max() < 1e-3


@given(seed=st.integers(0, 1000))
def test_any_map_is_the_sum_of_its_parts(seed) -> None:
    maps = np.random.default_rng(seed).normal(size=(2, 3, 32, 24)).astype(np.float32)
    split = split_maps(maps, STRIDE, SIGMA)
    np.testing.assert_allclose(join_maps(split, STRIDE, SIGMA), maps, atol=1e-5)


@pytest.mark.parametrize("width", [0.6, 0.8, 1.3, 2.0, 3.0])
@pytest.mark.parametrize("zoom", [0.6, 1.4])
def test_a_peak_of_another_width_keeps_its_place_and_height(width, zoom) -> None:
    """A map broader or narrower than labels: of the peak that is drawn in another size, the place and height stay."""
    maps = 0.6 * heatmaps(np.array([[12.0, 16.0]]), MAP, width * SIGMA)[None]
    (joined,) = join_maps(split_maps(maps, STRIDE, SIGMA), STRIDE, SIGMA * zoom)[0]
    assert np.unravel_index(joined.argmax(), joined.shape) == (16, 12)
    assert joined.max() == pytest.approx(0.6, rel=1e-3)
    assert joined.min() > -0.15  # around a peak narrower than labels


def test_a_second_peak_and_noise_stay_as_they_are() -> None:
    first, second = heatmaps(np.array([[5.0, 6.0], [18.0, 25.0]]), MAP, SIGMA)
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, first.shape).astype(np.float32)
    maps = (first + 0.7 * second + noise)[None, None]
    joined = join_maps(split_maps(maps, STRIDE, SIGMA), STRIDE, 0.7 * SIGMA)[0, 0]
    np.testing.assert_allclose(joined[18:], (0.7 * second + noise)[18:], atol=1e-3)


@pytest.mark.parametrize("sigma", [SIGMA, None], ids=["known", "fitted"])
def test_a_map_without_a_positive_value_has_no_peak(sigma) -> None:
    maps = np.full((1, 2, 32, 24), -0.1, np.float32)
    maps[:, 1] = 0
    split = split_maps(maps, STRIDE, sigma)
    assert not split.heights.any()
    assert not split.amplitudes.any()
    np.testing.assert_array_equal(split.rest, maps)
