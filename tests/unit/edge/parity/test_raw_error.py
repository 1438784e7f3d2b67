"""Raw error: every sample is divided by its own largest output, whether outputs were stored whole or sampled."""

import numpy as np
import pytest

from edge.parity.raw_error import raw_error
from edge.parity.reference import Reference
from runtimes.base import Array
from runtimes.errors import InputError


def stored(outputs: Array, sample: dict[str, Array] | None = None) -> Reference:
    """A reference of three images, for which only outputs matter."""
    pictures = np.zeros((3, 1, 1, 3), np.uint8)
    return Reference(pictures, {"x": outputs}, [], [], None, sample or {}, "mathematics")


def test_each_sample_is_divided_by_its_own_largest_output() -> None:
    """A bright picture does not hide the drift of a dark one."""
    reference = np.array([[1000.0, 0.0], [2.0, -4.0], [0.5, 0.1]], np.float32)
    for sample, change, error in ((0, 1.0, 1e-3), (1, 1.0, 0.25), (2, 0.25, 0.25)):
        got = reference.copy()
        got[sample, 1] += change
        assert raw_error(stored(reference), {"x": got}) == pytest.approx(error, rel=1e-6)


def test_values_kept_of_a_large_output_are_divided_by_the_largest_of_their_own_sample() -> None:
    whole = np.zeros((3, 2, 5), np.float32)
    whole[0], whole[1], whole[2] = 100, 4, 0.5
    kept = np.array([0, 9, 10, 13, 19, 20, 29])  # ten values a sample
    made = stored(whole.reshape(-1)[kept], {"x": kept})
    assert raw_error(made, {"x": whole}) == 0
    for index, error in ((9, 1e-2), (10, 0.25), (19, 0.25), (20, 1.0), (21, 0.0)):
        got = whole.copy()
        got.reshape(-1)[index] += 1
        assert raw_error(made, {"x": got}) == pytest.approx(error, rel=1e-6)
    with pytest.raises(InputError, match="shape"):
        raw_error(made, {"x": np.zeros((1, 0), np.float32)})
    none_of_the_second = np.array([0, 20])
    made = stored(whole.reshape(-1)[none_of_the_second], {"x": none_of_the_second})
    assert raw_error(made, {"x": whole + np.float32(0.1)}) == pytest.approx(0.1, rel=1e-5)
