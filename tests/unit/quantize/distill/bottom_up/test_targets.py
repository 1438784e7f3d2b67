"""Targets of whole pictures: decoded they give the people back, and unlabelled people are left unknown."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.catalog.specs_vitpose import vitpose_ae_spec
from edge.codecs.ae import decode_one
from edge.types import F32
from quantize.distill.bottom_up.targets import SIGMA_BINS, PictureTargets, picture_targets
from runtimes.codec_spec import AssociativeEmbeddingCodec

POINTS = 4
INPUT_WH, MAP_WH = (192, 128), (48, 32)
STRIDE = 4
# Half way between two bins both are as near, and which one is trained is a matter of rounding.
OFFSETS = st.floats(0, 8).filter(lambda value: abs(value / STRIDE % 1 - 0.5) > 0.01)
NOBODY = np.zeros((0, 4), np.float32)
CODEC = AssociativeEmbeddingCodec(missing="leave")


CORNERS = [(0, 0), (20, 0), (0, 20), (20, 20)]


def targets(keypoints: F32, unlabelled: F32 = NOBODY) -> PictureTargets:
    return picture_targets(keypoints, unlabelled, INPUT_WH, MAP_WH)


def person(x: float, y: float, seen: tuple[int, ...] = (2, 2, 2, 1)) -> F32:
    """Keypoints at the corners of a square of 20 pixels."""
    triplets = [(x + dx, y + dy, v) for (dx, dy), v in zip(CORNERS, seen, strict=True)]
    return np.array(triplets, np.float32)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=4, unique=True),
    OFFSETS,
    OFFSETS,
)
def test_perfect_maps_decode_to_the_people(cells, dx: float, dy: float) -> None:
    """With tags 0, 2, 4, ... at the bins where tags are trained: to a quarter of a bin and its rounding."""
    people = np.stack([person(60 * x + 12 + dx, 60 * y + 12 + dy) for x, y in cells])
    made = targets(people)
    tags = np.full((POINTS, 1, *MAP_WH[::-1]), -9, np.float32)
    for number, bins in enumerate(made.bins):
        for point, place in enumerate(bins):
            tags[point, 0].flat[place] = 2 * number
    found = decode_one(made.heatmaps, tags, CODEC, INPUT_WH)
    assert len(found.xy) == len(people)
    for own in people:
        away = np.abs(found.xy - own[:, :2]).max(axis=(1, 2))
        assert away.min() <= STRIDE / 4 + 1e-4


def test_a_gaussian_of_two_bins_stands_at_each_keypoint() -> None:
    made = targets(person(40, 60)[None])
    assert made.heatmaps.dtype == np.float32
    y, x = np.mgrid[: MAP_WH[1], : MAP_WH[0]]
    wanted = np.exp(-((x - 15) ** 2 + (y - 20) ** 2) / (2 * 2.0**2))  # (60, 80) / 4
    np.testing.assert_allclose(made.heatmaps[3], wanted, atol=1e-6)
    assert SIGMA_BINS == 2
    assert made.bins.tolist() == [[15 * 48 + 10, 15 * 48 + 15, 20 * 48 + 10, 20 * 48 + 15]]
    assert made.seen.all()
    assert made.known.min() == 1


def test_of_two_people_the_higher_gaussian_counts() -> None:
    both = np.stack([person(40, 40), person(48, 44)])
    apart = [targets(each[None]).heatmaps for each in both]
    np.testing.assert_array_equal(targets(both).heatmaps, np.maximum(*apart))
    np.testing.assert_array_equal(targets(both[::-1]).heatmaps, np.maximum(*apart))


def test_what_is_unlabelled_or_off_the_input_is_no_target() -> None:
    """A keypoint without a label, people without any, a keypoint beyond the edge, by rounding too."""
    people = np.stack(
        [
            person(40, 40, (2, 0, 2, 2)),
            person(80, 80, (0, 0, 0, 0)),
            person(300, 10),
            person(
                169.9, -30
            ),  # right ones at x 189.9, whose nearest bin is the last; rows -30 and -10 are off
            person(170.1, 40),  # right ones at x 190.1, whose nearest bin would be the 48th
        ]
    )
    made = targets(people)
    assert made.seen.tolist() == [[True, False, True, True], [True, False, True, False]]
    assert not made.heatmaps[1].any()
    assert made.bins[~made.seen].tolist() == [0, 0, 0]


def test_no_people_are_empty_maps() -> None:
    made = targets(np.zeros((0, POINTS, 3), np.float32))
    assert made.heatmaps.shape == (POINTS, 32, 48)
    assert not made.heatmaps.any()
    assert made.bins.shape == made.seen.shape == (0, POINTS)


def test_bins_of_unlabelled_people_are_unknown() -> None:
    """Every bin that a box touches, and of a box beyond the edge what lies on the map."""
    boxes = np.array([[41, 20, 60, 44], [180, 100, 400, 300]], np.float32)
    known = targets(np.zeros((0, POINTS, 3), np.float32), boxes).known
    assert known.shape == (1, 32, 48)
    wanted = np.ones((32, 48))
    wanted[5:11, 10:15] = 0
    wanted[25:, 45:] = 0
    np.testing.assert_array_equal(known[0], wanted)


def test_the_codec_of_bottom_up_models_has_the_same_bins() -> None:
    codec = vitpose_ae_spec("b", (192, 128), "coco17").codec
    assert isinstance(codec, AssociativeEmbeddingCodec)
    assert codec.refine == CODEC.refine == "shift"
