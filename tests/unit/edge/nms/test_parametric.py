"""Parametric pose NMS: the laws of merging, and the pipeline's choice of strategy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.catalog.specs import COCO_CLASSES, rtmdet_spec, tinypose_spec
from edge.model import Model
from edge.nms.parametric import (
    HEATMAP,
    INTEGRAL_WHOLE_BODY,
    constants_of,
    merge_people,
    parametric_nms,
)
from edge.pipeline import DET_THRS, Pipeline
from edge.schema import load_schema
from edge.types import Poses
from runtimes.base import Array
from runtimes.codec_spec import HeatmapCodec, IntegralCodec
from runtimes.errors import InputError
from runtimes.fake import FakeSession

seeds = st.integers(0, 2**32 - 1)
SCHEMAS = {17: "coco17", 26: "body26", 133: "coco133", 136: "halpe136"}


def people(seed: int, bodies: int, copies: int, points: int = 17) -> tuple[Array, Array, Array]:
    """`copies` poses of each of some bodies 500 pixels apart, a pixel or so between copies; xy, scores, boxes."""
    rng = np.random.default_rng(seed)
    shape = rng.uniform(0, 200, (bodies, 1, points, 2))
    shape[..., 0] += 500 * np.arange(bodies)[:, None, None]
    xy = (shape + rng.normal(0, 0.5, (bodies, copies, points, 2))).reshape(-1, points, 2)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    scores = rng.uniform(0.35, 1, xy.shape[:2])
    return xy.astype(np.float32), scores.astype(np.float32), boxes.astype(np.float32)


def poses(seed: int, bodies: int, copies: int, points: int = 17) -> Poses:
    xy, scores, boxes = people(seed, bodies, copies, points)
    count = len(xy)
    box_scores = np.linspace(1, 0.5, count, dtype=np.float32)
    schema = load_schema(SCHEMAS[points])
    return Poses(xy, scores, boxes, box_scores, np.arange(count, dtype=np.int32), schema)


@given(seeds, st.integers(0, 4), st.integers(1, 4), st.sampled_from([17, 26]))
@settings(deadline=None, max_examples=30)
def test_copies_become_one_person(seed: int, bodies: int, copies: int, points: int) -> None:
    xy, scores, boxes = people(seed, bodies, copies, points)
    merged = parametric_nms(xy, scores, boxes)
    assert len(merged.picks) == bodies
    owners = sorted(tuple(sorted(rows.tolist())) for rows in merged.members)
    assert owners == [tuple(range(b * copies, (b + 1) * copies)) for b in range(bodies)]
    for pick, rows, person, sure in zip(
        merged.picks, merged.members, merged.xy, merged.scores, strict=True
    ):
        assert scores[pick].mean() == scores[rows].mean(axis=1).max()
        # weighted means lie among what they are means of
        assert (person >= xy[rows].min(axis=0) - 1e-3).all()
        assert (person <= xy[rows].max(axis=0) + 1e-3).all()
        assert (sure <= scores[rows].max(axis=0) + 1e-6).all()


@given(seeds, st.sampled_from([17, 133, 136]), st.sampled_from([HEATMAP, INTEGRAL_WHOLE_BODY]))
@settings(deadline=None, max_examples=30)
def test_each_pose_goes_to_one_person_and_inputs_stay(seed: int, points: int, constants) -> None:
    xy, scores, boxes = people(seed, 3, 3, points)
    scores[np.random.default_rng(seed).random(scores.shape) < 0.3] = 0
    before = xy.copy(), scores.copy(), boxes.copy()
    merged = parametric_nms(xy, scores, boxes, constants)
    for now, was in zip((xy, scores, boxes), before, strict=True):
        np.testing.assert_array_equal(now, was)
    used = np.concatenate(merged.members)
    assert len(set(used.tolist())) == len(used)
    assert np.isfinite(merged.xy).all()
    assert np.isfinite(merged.scores).all()


def test_weights_are_the_scores_and_far_points_do_not_count() -> None:
    xy = np.tile(np.arange(17, dtype=np.float32)[:, None] * 20, (2, 1, 2))
    xy[1] += (3, 0)
    xy[1, 16] += 400  # a point gone astray
    scores = np.full((2, 17), 0.75, np.float32)
    scores[1] = 0.25
    boxes = np.tile(np.array([0, 0, 320, 320], np.float32), (2, 1))
    merged = parametric_nms(xy, scores, boxes)
    assert [rows.tolist() for rows in merged.members] == [[0, 1]]
    # three quarters of the pick, one of the other: 3 pixels become .75; the mean score is .75 * .75 + .25 * .25
    np.testing.assert_allclose(merged.xy[0, :16] - xy[0, :16], [(0.75, 0)] * 16, atol=1e-4)
    np.testing.assert_allclose(merged.scores[0, :16], 0.625, rtol=1e-6)
    np.testing.assert_array_equal(merged.xy[0, 16], xy[0, 16])
    assert merged.scores[0, 16] == np.float32(0.75)


def test_who_has_no_sure_keypoint_is_dropped() -> None:
    xy, scores, boxes = people(0, 2, 1)
    scores[1] = 0.29
    merged = parametric_nms(xy, scores, boxes)
    assert merged.picks.tolist() == [0]
    scores[:] = 0
    merged = parametric_nms(xy, scores, boxes)
    assert (merged.xy.shape, merged.scores.shape, merged.members) == ((0, 17, 2), (0, 17), ())


def test_a_box_without_extent_still_matches_itself() -> None:
    xy, scores, _ = people(0, 1, 1)
    merged = parametric_nms(xy, scores, np.zeros((1, 4), np.float32))
    np.testing.assert_allclose(merged.xy, xy)


@pytest.mark.parametrize(
    ("codec", "points", "wanted"),
    [
        (HeatmapCodec(), 17, HEATMAP),
        (HeatmapCodec(), 136, HEATMAP),
        (IntegralCodec(), 26, HEATMAP),
        (IntegralCodec(), 133, INTEGRAL_WHOLE_BODY),
        (IntegralCodec(), 136, INTEGRAL_WHOLE_BODY),
    ],
)
def test_constants_follow_from_the_model(codec, points: int, wanted) -> None:
    assert constants_of(codec, points) is wanted


def test_people_keep_their_order_their_boxes_and_their_ids() -> None:
    before = poses(7, bodies=3, copies=3)
    after = merge_people(before)
    rows = after.ids
    assert (np.diff(rows) > 0).all()
    assert (rows // 3).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(after.boxes, before.boxes[rows])
    np.testing.assert_array_equal(after.box_scores, before.box_scores[rows])
    empty = Poses.empty(before.schema)
    assert merge_people(empty) is empty


def pipeline(**options) -> Pipeline:
    detector = Model(rtmdet_spec("rtmdet-nano", (320, 320), COCO_CLASSES[:1]), FakeSession(()))
    return Pipeline(Model(tinypose_spec(), FakeSession(())), detector, **options)


@pytest.mark.parametrize(
    ("pose_nms", "left"), [("oks", 2), ("soft-oks", 6), ("parametric", 2), ("none", 6)]
)
def test_a_pipeline_merges_as_it_is_told(pose_nms: str, left: int) -> None:
    crowd = poses(3, bodies=2, copies=3)
    kept = pipeline(pose_nms=pose_nms).deduplicate(crowd)
    assert len(kept) == left
    merges = pose_nms == "parametric"
    assert merges != all((row == crowd.xy).all(axis=(1, 2)).any() for row in kept.xy)


def test_oks_is_the_default_and_soft_oks_keeps_twenty() -> None:
    crowd = poses(3, bodies=10, copies=3)
    assert len(pipeline().deduplicate(crowd)) == 10
    assert len(pipeline(pose_nms="soft-oks").deduplicate(crowd)) == 20


@pytest.mark.parametrize("pose_nms", ["oks", "soft-oks", "parametric", "none"])
def test_merging_lets_weak_boxes_in(pose_nms: str) -> None:
    threshold = 0.1 if pose_nms == "parametric" else 0.3
    assert DET_THRS[pose_nms] == threshold
    for given_thr, wanted in ((None, threshold), (0.55, 0.55)):
        made = pipeline(pose_nms=pose_nms, det_thr=given_thr)
        assert made.detector is not None
        assert made.detector.spec.thresholds.score == wanted


def test_an_unknown_strategy_is_refused_by_name() -> None:
    with pytest.raises(
        InputError, match="'parametrc'; known: oks, soft-oks, parametric, parametric-paper, none"
    ):
        pipeline(pose_nms="parametrc")
