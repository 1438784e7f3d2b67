"""Augmentation: within its limits, identity without it, and determined by the seed."""

import numpy as np
import pytest

from edge.schema import load_schema
from quantize.distill.data.augment import (
    EDGE_DEVIATIONS,
    EDGE_MEANS,
    NO_AUGMENTATION,
    STRONG,
    WEAK,
    half_body,
    jitter_box,
    random_view,
)
from quantize.distill.data.crop_view import CropView
from quantize.distill.data.photometric import cutout, distort, shift_hsv

COCO = load_schema("coco17")
VIEW = CropView((100.0, 120.0), (80.0, 160.0))


@pytest.fixture
def person() -> np.ndarray:
    """A body whose upper points lie above row 100 and lower ones below it."""
    rng = np.random.default_rng(3)
    xyv = np.concatenate([rng.uniform(80, 120, (17, 1)), np.zeros((17, 1)), np.full((17, 1), 2)], 1)
    xyv[:11, 1] = rng.uniform(40, 95, 11)
    xyv[11:, 1] = rng.uniform(105, 200, 6)
    return xyv.astype(np.float32)


def test_without_augmentation_nothing_moves(person) -> None:
    assert random_view(VIEW, person, COCO, NO_AUGMENTATION, np.random.default_rng(0)) == VIEW
    image = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(distort(image, NO_AUGMENTATION, np.random.default_rng(0)), image)


@pytest.mark.parametrize("augmentation", [STRONG, WEAK], ids=["strong", "weak"])
def test_views_stay_within_the_strength(person, augmentation) -> None:
    rng = np.random.default_rng(0)
    hidden = person * (1, 1, 0)  # no half bodies
    views = [
        random_view(VIEW, hidden.astype(np.float32), COCO, augmentation, rng) for _ in range(2000)
    ]
    factors = np.array([view.size for view in views]) / VIEW.size
    assert augmentation.scale[0] <= factors.min() < 1 < factors.max() <= augmentation.scale[1]
    np.testing.assert_allclose(factors[:, 0], factors[:, 1])
    turns = np.array([view.rotation_deg for view in views])
    assert np.abs(turns).max() <= augmentation.rotation_deg
    shifts = (np.array([view.centre for view in views]) - VIEW.centre) / VIEW.size
    assert np.abs(shifts).max() <= augmentation.shift
    # of 2000 draws a share strays by more than four deviations once in 16 000 runs
    for share, seen in (
        (augmentation.flip_prob, np.mean([view.flipped for view in views])),
        (augmentation.rotation_prob, np.mean(turns != 0)),
        (augmentation.shift_prob * (augmentation.shift > 0), np.mean(shifts.any(axis=1))),
    ):
        assert abs(seen - share) <= 4 * np.sqrt(share * (1 - share) / len(views))


def test_a_seed_tells_a_view(person) -> None:
    one, two = (random_view(VIEW, person, COCO, STRONG, np.random.default_rng(5)) for _ in range(2))
    assert one == two


def test_half_a_body_is_upper_or_lower_points_only(person) -> None:
    rng = np.random.default_rng(0)
    views = {half_body(VIEW, person, COCO, rng) for _ in range(50)}
    means = {
        tuple(person[rows, :2].astype(np.float64).mean(axis=0))
        for rows in (slice(0, 11), slice(11, 17))
    }
    assert {view.centre for view in views} == means


def test_half_a_body_needs_enough_points(person) -> None:
    person[8:, 2] = 0
    person[7, 2] = 0
    assert half_body(VIEW, person, COCO, np.random.default_rng(0)) == VIEW


@pytest.mark.parametrize(
    ("upper", "lower", "half"),
    [(2, 6, None), (2, 7, "either"), (7, 2, "upper"), (1, 8, "lower"), (6, 3, "either")],
)
def test_half_bodies_are_mmposes(upper, lower, half) -> None:
    """Nine labelled points in all; two in the upper half to choose it, three in the lower (RandomHalfBody)."""
    schema = load_schema("body26")
    names = np.array(schema.names)
    below = np.array([any(p in n for p in ("hip", "knee", "ankle", "toe", "heel")) for n in names])
    xyv = np.zeros((26, 3), np.float32)
    for rows, y in ((np.flatnonzero(~below)[:upper], 50), (np.flatnonzero(below)[:lower], 150)):
        xyv[rows] = [(100 + row, y, 2) for row in rows]
    rng = np.random.default_rng(0)
    found = {half_body(VIEW, xyv, schema, rng).centre[1] for _ in range(40)}
    wanted = {None: {VIEW.centre[1]}, "upper": {50}, "lower": {150}, "either": {50, 150}}
    assert found == wanted[half]


def test_detected_boxes_follow_the_fitted_law() -> None:
    """Means and deviations of the edges, where the box is not merely cut smaller."""
    rng = np.random.default_rng(0)
    box = np.array((100, 200, 300, 600), np.float32)
    boxes = np.array([jitter_box(box, rng) for _ in range(6000)], np.float64)
    offsets = (boxes - box) / (200, 400, 200, 400)
    cut = (offsets[:, :2] >= -1e-6).all(axis=1) & (offsets[:, 2:] <= 1e-6).all(axis=1)
    aspect = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    cut &= np.abs(aspect - 0.5) < 1e-4
    assert abs(cut.mean() - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 6000)
    free = offsets[~cut]
    error = EDGE_DEVIATIONS / np.sqrt(len(free))
    assert (np.abs(free.mean(axis=0) - EDGE_MEANS) < 4 * error).all()
    np.testing.assert_allclose(free.std(axis=0), EDGE_DEVIATIONS, rtol=0.05)


def test_a_box_never_turns_inside_out() -> None:
    rng = np.random.default_rng(0)
    tiny = np.array((5, 5, 5.5, 5.5), np.float32)
    for _ in range(200):
        left, top, right, bottom = jitter_box(tiny, rng)
        assert right > left
        assert bottom > top


def test_colours_move_together() -> None:
    """One offset a channel of HSV: a grey picture stays grey, only lighter or darker."""
    grey = np.full((8, 8, 3), 100, np.uint8)
    moved = shift_hsv(grey, (0.0, 0.0, 30.0), np.random.default_rng(1))
    assert len(np.unique(moved)) == 1
    assert 70 <= moved[0, 0, 0] <= 130
    assert moved[0, 0, 0] != 100


def test_a_cut_out_is_one_rectangle() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 100, 3), dtype=np.uint8)
    covered = cutout(image, np.random.default_rng(2))
    rows, columns = np.nonzero((covered != image).any(axis=2))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert 0.15 * 200 <= height <= 0.4 * 200
    assert 0.15 * 100 <= width <= 0.4 * 100
    patch = covered[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert len(np.unique(patch.reshape(-1, 3), axis=0)) == 1
