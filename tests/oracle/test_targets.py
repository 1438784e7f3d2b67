"""Training targets against mmpose's codecs' `encode`."""

import numpy as np
import pytest

from edge.catalog.label_sigma import simcc_label_sigma
from quantize.distill.data.targets import heatmaps, inside, simcc_labels, strides
from runtimes.codec_spec import HeatmapCodec

WH = (192, 256)


@pytest.mark.parametrize(
    ("name", "map_wh", "input_wh", "sigma"),
    [("udp", (48, 64), WH, 2.0), ("udp_s6", (192, 256), (768, 1024), 6.0)],
)
def test_udp_heatmaps(oracles, name: str, map_wh, input_wh, sigma: float) -> None:
    """The reference cuts its Gaussians off at three sigmas; ours go on, lower than that."""
    with np.load(oracles("codecs.npz")) as archive:
        wanted, weights = archive[f"{name}/heatmaps"], archive[f"{name}/w"][0]
        xy = archive["keypoints"][0][: len(wanted)] * (np.array(input_wh) / WH)
    stride = strides(input_wh, map_wh, HeatmapCodec(refine="udp"))
    found = heatmaps(xy / stride, map_wh, np.array((sigma, sigma)))
    asked = weights[: len(wanted)] > 0
    assert asked.sum() > len(wanted) // 2
    near = (wanted > 0) & asked[:, None, None]
    np.testing.assert_allclose(found[near], wanted[near], atol=2e-5)
    assert found[~near & asked[:, None, None]].max() < np.exp(-4.5) + 1e-2


def test_simcc_labels(oracles) -> None:
    with np.load(oracles("codecs.npz")) as archive:
        xy, weights = archive["keypoints"][0], archive["simcc/w"][0]
        wanted = archive["simcc/x"][0], archive["simcc/y"][0]
    asked = (weights > 0) & inside(xy, WH)
    for found, each in zip(
        simcc_labels(xy, WH, 2.0, np.array(simcc_label_sigma(WH))), wanted, strict=True
    ):
        near = (each > 0) & asked[:, None]
        np.testing.assert_allclose(found[near], each[near], atol=1e-6)
