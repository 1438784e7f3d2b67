"""Where to clip: what is published for known distributions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from quantize.int8.ncnn.ranges import BINS, Histogram, best_clip


@given(st.floats(0, 1e6), hnp.arrays(np.int64, BINS, elements=st.integers(0, 10**9)))
@settings(deadline=None, max_examples=30)
def test_a_clip_lies_within_what_was_seen(peak, counts) -> None:
    assert 0 <= best_clip(Histogram(peak, counts)) <= peak


@pytest.mark.parametrize(
    ("density", "published"),
    [(lambda x: np.exp(-(x**2) / 2), 3.924), (lambda x: np.exp(-x), 9.89)],
    ids=["normal", "Laplace"],
)
def test_clips_are_the_published_ones_of_known_distributions(density, published) -> None:
    """Banner, Nahshan and Soudry 2019: at 8 bits, in standard deviations and in Laplace's b."""
    peak = 1.6 * published
    middles = (np.arange(BINS) + 0.5) / BINS * peak
    histogram = Histogram(peak, np.round(1e15 * density(middles)).astype(np.int64))
    assert best_clip(histogram) == pytest.approx(published, abs=peak / 64)
