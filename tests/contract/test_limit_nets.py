"""Networks that measure an engine's arithmetic compute what they say, in every engine that has one."""

import numpy as np
import pytest

from edge.bench.limits.nets import LAYERS, NETS, SIDE, STEM, write_net
from runtimes.artifact import Artifact
from runtimes.base import RunOptions
from runtimes.registry import installed_engine, open_session

MEAN, STD = 127.5, 73.6


def weights() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [(512, 3, 4, 4), *[(512, 512, 1, 1)] * LAYERS]
    return [
        rng.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
        for shape in shapes
    ]


def in_numpy(image: np.ndarray) -> np.ndarray:
    """Return the vector (512,) of uint8 BGR (H, W, 3), in float64."""
    stem, *layers = (each.astype(np.float64) for each in weights())
    real = (image[..., ::-1] - MEAN) / STD
    cells = SIDE // STEM
    patches = real.reshape(cells, STEM, cells, STEM, 3).transpose(0, 2, 4, 1, 3)
    flow = np.maximum(patches.reshape(cells * cells, -1) @ stem.reshape(512, -1).T, 0)
    for layer in layers:
        flow = np.maximum(flow @ layer.reshape(512, 512).T, 0)
    return flow.mean(axis=0)


# int8: sixteen layers of 8-bit numbers, each rounded by up to half of 1/127th of its range
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("int8", 0.2)])
@pytest.mark.parametrize("runtime", NETS)
def test_the_network_computes_what_it_says(tmp_path, runtime, precision, limit) -> None:
    if installed_engine(runtime) is None:
        pytest.skip(f"{runtime} is not installed")
    write_net(runtime, precision, tmp_path)
    image = np.random.default_rng(5).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    session = open_session(Artifact.open(tmp_path), RunOptions(threads=1))
    try:
        got = session.run({"image": image})["vector"].reshape(-1)
    finally:
        session.close()
    expected = in_numpy(image[0])
    error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
    assert error < limit
