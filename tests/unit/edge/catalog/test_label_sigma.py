"""Widths of labels: those of mmpose's configs, which state RTMPose's equation 6 in hundredths."""

import pytest

from edge.catalog.label_sigma import scaled_simcc_sigma, simcc_label_sigma
from edge.catalog.specs import rtmpose_spec

# sigma of configs/body_2d_keypoint/rtmpose and wholebody_2d_keypoint/rtmpose; 96x128 by the equation: sqrt(12), 4.
PUBLISHED = {
    (192, 256): (4.9, 5.66),
    (256, 192): (5.66, 4.9),
    (256, 256): (5.66, 5.66),
    (288, 384): (6.0, 6.93),
    (96, 128): (3.46, 4.0),
}


@pytest.mark.parametrize("wh", PUBLISHED)
def test_simcc_sigma_is_that_of_the_paper(wh) -> None:
    assert simcc_label_sigma(wh) == PUBLISHED[wh]
    assert rtmpose_spec("any", wh, "coco17").codec.sigma == PUBLISHED[wh]


def test_another_split_has_other_bins() -> None:
    """Equation 6 counts bins: 192 pixels at a split of 3 are 576, as 288 at a split of 2."""
    assert simcc_label_sigma((192, 256), 3.0) == simcc_label_sigma((288, 384), 2.0)


def test_students_of_the_first_release_learned_scaled_labels() -> None:
    assert scaled_simcc_sigma((96, 128)) == (2.45, 2.83)
    assert scaled_simcc_sigma((192, 256)) == (4.9, 5.66)
