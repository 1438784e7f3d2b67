"""Split maps on disk: peaks as they were, the rest within half a step of int8."""

import zlib

import numpy as np
import pytest

from quantize.distill.data.packed_maps import pack, unpack
from quantize.distill.data.split_maps import split_maps
from quantize.distill.data.targets import heatmaps

MAP = (24, 32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_records_are_exact_but_for_half_a_step(scale) -> None:
    """Whatever the scale of a teacher's outputs: 1/254 of each map's own largest rest."""
    rng = np.random.default_rng(0)
    peaks = heatmaps(rng.uniform(3, 20, (34, 2)), MAP, np.array((2.0, 2.0))).reshape(2, 17, 32, 24)
    noise = rng.normal(0, 0.02, peaks.shape) * rng.uniform(0, 1, (2, 17, 1, 1))
    noise[0, 3] = 0
    maps = (scale * (peaks + noise)).astype(np.float32)
    split = split_maps(maps, np.full(2, 4.0), np.array((2.0, 2.0)))
    found = unpack(pack(split), 17, MAP)
    for name in ("xy", "heights", "amplitudes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(split, name))
    limit = np.abs(split.rest).max(axis=(2, 3), keepdims=True) / 254 * (1 + 1e-5)
    assert (np.abs(found.rest - split.rest) <= limit).all()


def test_records_are_small() -> None:
    """A confident teacher's map is its peak; float16 would take 2 bytes a bin."""
    maps = heatmaps(np.full((17, 2), 11.3), MAP, np.array((2.0, 2.0)))[None]
    (record,) = pack(split_maps(maps, np.full(2, 4.0), np.array((2.0, 2.0))))
    assert len(record) < 0.2 * 2 * maps.size


def test_bytes_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="buffer"):
        unpack([zlib.compress(b"short")], 17, MAP)
