"""Training targets against the decoders that read such outputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.label_sigma import simcc_label_sigma
from edge.catalog.specs_vitpose import vitpose_spec
from edge.codecs.heatmap import decode
from quantize.distill.data.split_maps import split_maps
from quantize.distill.data.targets import (
    heatmap_sigma,
    heatmaps,
    inside,
    marginals,
    simcc_labels,
    strides,
)
from runtimes.codec_spec import HeatmapCodec, SimCCCodec

WH, MAP = (192, 256), (48, 64)
TWO = np.array((2.0, 2.0))
CODECS = [HeatmapCodec(refine="udp", blur_kernel=11), HeatmapCodec(refine="dark", blur_kernel=11)]


@pytest.mark.parametrize("codec", CODECS, ids=["udp", "dark"])
@given(x=st.floats(30, 160), y=st.floats(30, 220))
def test_the_decoder_finds_what_was_drawn(codec, x, y) -> None:
    """Both refinements fit a Gaussian: of a Gaussian they recover the centre, but for the blur's truncation."""
    xy = np.array([[x, y]])
    stride = strides(WH, MAP, codec)
    maps = heatmaps(xy / stride, MAP, sigma=TWO)
    (found,) = decode_maps(maps, codec)
    np.testing.assert_allclose(found, xy[0], atol=0.15)


def decode_maps(maps: np.ndarray, codec: HeatmapCodec) -> np.ndarray:
    (poses,) = decode([maps[None]], codec, vitpose_spec("any", WH, "coco17"))
    return poses.xy[0]


def test_a_gaussian_has_height_one_and_its_width() -> None:
    (heat,) = heatmaps(np.array([[10.0, 20.0]]), MAP, sigma=TWO)
    assert heat[20, 10] == 1
    assert heat[20, 12] == pytest.approx(np.exp(-0.5))
    assert heat[23, 14] == pytest.approx(np.exp(-0.5 * (4 + 2.25)))


def test_only_points_on_the_input_are_learned() -> None:
    xy = np.array([[0, 0], [191, 255], [191.5, 10], [-0.1, 10], [10, 255.5]], np.float32)
    np.testing.assert_array_equal(inside(xy, WH), [True, True, False, False, False])


def test_simcc_labels_peak_at_the_rounded_bin() -> None:
    across, down = simcc_labels(np.array([[10.3, 20.2]]), WH, 2.0, np.array((4.9, 5.66)))
    assert across.shape == (1, 384)
    assert down.shape == (1, 512)
    assert across[0].argmax() == 21
    assert down[0].argmax() == 40
    assert across[0, 21 + 5] == pytest.approx(np.exp(-0.5 * (5 / 4.9) ** 2), rel=1e-5)


@given(x=st.integers(80, 300), y=st.integers(80, 420))
def test_marginals_of_a_heatmap_are_its_simcc_labels(x, y) -> None:
    """A perfect heatmap teacher gives a SimCC student the same targets as the labels do."""
    xy = np.array([[x, y]]) / 2
    stride = strides(WH, MAP, CODECS[0])
    maps = heatmaps(xy / stride, MAP, heatmap_sigma(WH) / stride)
    labels = simcc_labels(xy, WH, 2.0, np.array(simcc_label_sigma(WH)))
    for found, wanted in zip(marginals_of(maps, stride), labels, strict=True):
        assert np.abs(found - wanted).max() < 1e-3


def marginals_of(maps: np.ndarray, stride: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    split = split_maps(maps[None], stride, heatmap_sigma(WH) / stride)
    peaks = split.xy[0], split.heights[0], split.amplitudes[0]
    return marginals(peaks, split.rest[0], stride, WH, SimCCCodec())


def test_noise_under_the_peak_is_dropped() -> None:
    codec = CODECS[0]
    stride = strides(WH, MAP, codec)
    clean = heatmaps(np.array([[50.0, 80.0]]) / stride, MAP, sigma=TWO)
    noisy = clean + np.random.default_rng(0).uniform(-0.05, 0.05, clean.shape).astype(np.float32)
    for row, wanted in zip(marginals_of(noisy, stride), marginals_of(clean, stride), strict=True):
        peak = int(wanted.argmax())
        assert abs(int(row.argmax()) - peak) <= 3  # a pixel and a half
        assert np.delete(row[0], range(peak - 24, peak + 25)).max() < 1e-3
    empty = marginals_of(-clean, stride)
    assert not empty[0].any()
    assert not empty[1].any()
