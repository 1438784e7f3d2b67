"""Poses: one score a person."""

import numpy as np
import pytest

from edge.schema import KeypointSchema
from edge.types import Poses

SCHEMA = KeypointSchema("pair", ("a", "b"), (), (), ())


def poses(scores: list[float], box_score: float) -> Poses:
    return Poses(
        np.zeros((1, 2, 2), np.float32),
        np.array([scores], np.float32),
        np.zeros((1, 4), np.float32),
        np.array([box_score], np.float32),
        np.full(1, -1, np.int32),
        SCHEMA,
    )


@pytest.mark.parametrize(
    ("scores", "wanted"),
    [
        ([0.8, 0.1], 0.5 * 0.8),
        ([0.8, 0.4], 0.5 * 0.6),
        # .2 itself does not count, as in mmpose; what is just above does
        ([0.1, 0.2], 0.0),
        ([0.8, 0.2], 0.5 * 0.8),
        ([0.8, 0.21], 0.5 * 0.505),
    ],
)
def test_a_persons_score_is_the_boxs_times_the_mean_of_confident_keypoints(
    scores: list[float], wanted: float
) -> None:
    assert poses(scores, 0.5).instance_scores()[0] == pytest.approx(wanted)
