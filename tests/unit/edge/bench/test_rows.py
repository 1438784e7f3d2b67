"""Figures of a row that are means over its rounds."""

import pytest

from edge.bench.rows import mean_others
from edge.bench.worker import Timed


def burst(seconds: float, others: float | None) -> Timed:
    span_ns = round(seconds * 1e9)
    return Timed(
        wall_ns=(span_ns,),
        engine_ns=(),
        span_ns=span_ns,
        cpu_ns=span_ns,
        peak_rss_bytes=None,
        others=others,
    )


@pytest.mark.parametrize(
    ("bursts", "others"),
    [
        ([burst(1, 0.0), burst(3, 1.0)], 0.75),  # by their time
        ([burst(1, None), burst(1, 0.5)], 0.5),  # of those where it is known
        ([burst(0.01, None)], None),
        ([], None),
    ],
)
def test_others_are_the_mean_over_the_time_of_the_rounds(bursts, others) -> None:
    assert mean_others(bursts) == others
