"""Non-maximum suppression of boxes and poses: the laws, against a greedy loop in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.nms.overlap import (
    box_nms,
    class_nms,
    keypoint_similarity,
    oks_matrix,
    oks_nms,
    pairwise_iou,
    soft_oks_nms,
)
from runtimes.base import Array

SIGMAS = np.full(17, 0.05)


def scene(seed: int, count: int, spread: float = 100.0) -> tuple[Array, Array]:
    """Overlapping boxes with scores that all differ."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, spread, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 60, (count, 2))], axis=1)
    return boxes.astype(np.float32), rng.permutation(count).astype(np.float32) / (count + 1)


def crowd(seed: int, count: int) -> tuple[Array, Array, Array]:
    """Poses, several of them near copies, with areas and scores."""
    rng = np.random.default_rng(seed)
    bodies = rng.uniform(0, 200, (max(count // 2, 1), 17, 2))
    xy = bodies[rng.integers(0, len(bodies), count)] + rng.normal(0, 3, (count, 17, 2))
    areas = rng.uniform(5_000, 20_000, count)
    return xy.astype(np.float32), areas, rng.permutation(count) / (count + 1)


def greedy(overlaps: Array, scores: Array, threshold: float) -> list[int]:
    kept = []
    for row in sorted(range(len(scores)), key=lambda row: -scores[row]):
        if all(overlaps[row, other] <= threshold for other in kept):
            kept.append(row)
    return kept


seeds = st.integers(0, 2**32 - 1)
thresholds = st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.9])


def test_iou_of_known_boxes() -> None:
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4]], np.float32)
    np.testing.assert_allclose(pairwise_iou(a, b), [[1, 1 / 3, 0, 0.04]], rtol=1e-6)
    # Counted in pixels, end included: 11 x 11, 6 shared columns of 16, 1 of 21.
    np.testing.assert_allclose(
        pairwise_iou(a, b, offset=1.0), [[1, 6 / 16, 1 / 21, 9 / 121]], rtol=1e-6
    )


def test_iou_of_empty_boxes_is_zero() -> None:
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert pairwise_iou(point, point).tolist() == [[0.0]]


@given(seeds, st.integers(0, 400), thresholds)
@settings(deadline=None, max_examples=30)
def test_box_nms_is_the_greedy_loop(seed: int, count: int, threshold: float) -> None:
    boxes, scores = scene(seed, count)
    kept = box_nms(boxes, scores, threshold)
    assert kept.tolist() == greedy(pairwise_iou(boxes, boxes), scores, threshold)


@given(seeds, st.integers(1, 300), thresholds)
@settings(deadline=None, max_examples=30)
def test_box_nms_keeps_no_pair_above_the_threshold_and_drops_none_without_reason(
    seed: int, count: int, threshold: float
) -> None:
    boxes, scores = scene(seed, count)
    kept = box_nms(boxes, scores, threshold)
    overlaps = pairwise_iou(boxes, boxes)
    assert (overlaps[np.ix_(kept, kept)] - np.eye(len(kept)) <= threshold).all()
    assert (np.diff(scores[kept]) < 0).all()
    for row in np.setdiff1d(np.arange(count), kept):
        better = kept[scores[kept] > scores[row]]
        assert (overlaps[row, better] > threshold).any()


@given(seeds, st.integers(1, 200), thresholds)
@settings(deadline=None, max_examples=30)
def test_box_nms_does_not_depend_on_input_order(seed: int, count: int, threshold: float) -> None:
    boxes, scores = scene(seed, count)
    order = np.random.default_rng(seed).permutation(count)
    shuffled = box_nms(boxes[order], scores[order], threshold)
    np.testing.assert_array_equal(order[shuffled], box_nms(boxes, scores, threshold))


def test_box_nms_leaves_its_inputs_alone_and_keeps_the_first_of_equals() -> None:
    boxes, _ = scene(3, 20)
    boxes[:] = boxes[0]
    scores = np.ones(20, np.float32)
    before = boxes.copy()
    assert box_nms(boxes, scores, 0.5).tolist() == [0]
    np.testing.assert_array_equal(boxes, before)


@given(seeds, st.integers(0, 100), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_class_nms_is_box_nms_in_every_class(seed: int, count: int, classes: int) -> None:
    boxes, scores = scene(seed, count, spread=30)
    labels = np.random.default_rng(seed).integers(0, classes, count)
    kept = class_nms(boxes, scores, labels, 0.5)
    alone = [
        rows[box_nms(boxes[rows], scores[rows], 0.5)]
        for rows in (np.flatnonzero(labels == label) for label in range(classes))
    ]
    assert set(kept.tolist()) == {int(row) for rows in alone for row in rows}
    assert (np.diff(scores[kept]) < 0).all()


@given(seeds, st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_oks_is_symmetric_and_one_with_itself(seed: int, count: int) -> None:
    xy, areas, _ = crowd(seed, count)
    oks = oks_matrix(xy, None, areas, SIGMAS)
    np.testing.assert_allclose(oks, oks.T)
    np.testing.assert_allclose(oks.diagonal(), 1)
    assert (oks >= 0).all()


def test_oks_at_a_known_distance() -> None:
    xy = np.zeros((2, 1, 2), np.float32)
    xy[1, 0, 0] = 3
    # d = 3, area 100, k = 2 sigma = .2: exp(-9 / (2 * 100 * .04))
    oks = oks_matrix(xy, None, np.array([50.0, 150.0]), np.array([0.1]))
    assert oks[0, 1] == pytest.approx(np.exp(-9 / 8), rel=1e-6)


def test_similarity_at_one_standard_deviation() -> None:
    sigmas, areas = np.array([0.05, 0.1, 0.2]), np.array([400.0, 2500.0])
    squared = np.square(2 * sigmas) * areas[:, None]
    got = keypoint_similarity(squared, areas, sigmas)
    assert got.shape == (2, 3)
    np.testing.assert_allclose(got, np.exp(-0.5))


@given(st.floats(0, 50), st.floats(0, 50))
def test_similarity_falls_with_distance(a: float, b: float) -> None:
    squared = np.square(sorted((a, b)))
    near, far = keypoint_similarity(squared, np.array(900.0), np.full(2, 0.07))
    assert 1 >= near >= far >= 0


def test_oks_counts_only_what_both_see() -> None:
    xy = np.zeros((3, 2, 2), np.float32)
    xy[1, 1] = 1e4  # far away, but unseen
    visible = np.array([[True, True], [True, False], [False, True]])
    oks = oks_matrix(xy, visible, np.full(3, 100.0), np.full(2, 0.1))
    np.testing.assert_allclose(oks, [[1, 1, 1], [1, 1, 0], [1, 0, 1]])


@given(seeds, st.integers(0, 20), thresholds)
@settings(deadline=None, max_examples=30)
def test_oks_nms_is_the_greedy_loop(seed: int, count: int, threshold: float) -> None:
    xy, areas, scores = crowd(seed, count)
    oks = oks_matrix(xy, None, areas, SIGMAS)
    assert oks_nms(oks, scores, threshold).tolist() == greedy(oks, scores, threshold)


@given(seeds, st.integers(0, 20), thresholds)
@settings(deadline=None, max_examples=30)
def test_soft_oks_nms_ranks_every_pose_once(seed: int, count: int, threshold: float) -> None:
    xy, areas, scores = crowd(seed, count)
    oks = oks_matrix(xy, None, areas, SIGMAS)
    kept = soft_oks_nms(oks, scores, threshold)
    assert sorted(kept.tolist()) == list(range(count))
    if count:
        assert kept[0] == scores.argmax()
    assert soft_oks_nms(oks, scores, threshold, max_kept=3).tolist() == kept[:3].tolist()


def test_soft_oks_nms_prefers_a_stranger_to_a_better_scored_copy() -> None:
    oks = np.array([[1, 0.95, 0], [0.95, 1, 0], [0, 0, 1]], np.float32)
    assert soft_oks_nms(oks, np.array([0.9, 0.8, 0.5]), 0.5).tolist() == [0, 2, 1]
