"""Evaluation: figures that follow from the protocol alone, refusals, and the bootstrap against brute force."""

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.evaluation.average_precision import (
    BOX_FILL,
    bootstrap_ap_drop,
    evaluate_boxes,
    evaluate_keypoints,
)
from edge.evaluation.coco import Annotation, Category, CocoImage, GroundTruth
from edge.evaluation.duplicates import drop_duplicates
from edge.evaluation.wholebody import crowd_level, part_results, part_truth
from runtimes.errors import InputError

pytest.importorskip("faster_coco_eval")

SIGMAS = (0.05, 0.1)
SIZE = 100.0


def person(number: int, image: int, x: float = 50, area: float | None = SIZE**2) -> Annotation:
    return Annotation(
        id=number,
        image_id=image,
        category_id=1,
        bbox=(x, 0, SIZE, SIZE),
        area=area,
        keypoints=(x, 10, 2, x, 60, 2),
    )


def truth_of(annotations: list[Annotation], images: int) -> GroundTruth:
    return GroundTruth(
        images=tuple(
            CocoImage(id=index, file_name=f"{index}.jpg", width=400, height=300)
            for index in range(images)
        ),
        annotations=tuple(annotations),
        categories=(Category(id=1, name="person", keypoints=("a", "b")),),
    )


def found(image: int, x: float = 50, score: float = 0.9) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 1,
        "score": score,
        "bbox": [x, 0, SIZE, SIZE],
        "keypoints": [x, 10, 0.8, x, 60, 0.4],
    }


def test_the_truth_scores_one() -> None:
    truth = truth_of([person(1, 0), person(2, 1)], 2)
    got = evaluate_keypoints(truth, [found(0), found(1)], SIGMAS)
    assert pytest.approx((1, 1, 1, 1, 1)) == (got.AP, got.AP50, got.AR, got.APL, got.ARL)
    assert (got.APM, got.ARM) == (None, None)
    assert (got.images, got.people, got.iou_type) == (2, 2, "keypoints")


def test_no_results_score_zero_and_no_people_are_undefined() -> None:
    got = evaluate_keypoints(truth_of([person(1, 0)], 1), [], SIGMAS)
    assert (got.AP, got.AR) == (0, 0)
    got = evaluate_keypoints(truth_of([], 1), [found(0)], SIGMAS)
    assert (got.AP, got.AR, got.people) == (None, None, 0)


def test_a_known_offset_passes_the_thresholds_its_oks_passes() -> None:
    # exp(-d^2 / (2 * area * (2 sigma)^2)) averages .72 over both points: right at .5 to .7 and wrong above.
    shift = 7.0
    spread = 2 * SIZE**2 * (2 * np.array(SIGMAS)) ** 2
    oks = np.exp(-(shift**2) / spread).mean()
    passed = (np.linspace(0.5, 0.95, 10) <= oks).mean()
    assert 0 < passed < 1
    got = evaluate_keypoints(truth_of([person(1, 0)], 1), [found(0, 50 + shift)], SIGMAS)
    assert pytest.approx((passed, passed)) == (got.AP, got.AR)


def test_area_of_the_box_stands_in_where_the_file_has_none() -> None:
    shift = 7.0
    bare, whole = (truth_of([person(1, 0, area=area)], 1) for area in (None, BOX_FILL * SIZE**2))
    wrong = truth_of([person(1, 0, area=1e9)], 1)
    results = [found(0, 50 + shift)]
    expected = evaluate_keypoints(whole, results, SIGMAS)
    assert evaluate_keypoints(bare, results, SIGMAS) == expected
    assert evaluate_keypoints(wrong, results, SIGMAS, use_area=False) == expected


def test_boxes_of_known_overlap() -> None:
    truth = truth_of([person(1, 0)], 1)
    got = evaluate_boxes(
        truth, [found(0, 50 + SIZE / 4)]
    )  # IoU 75 / 125 = .6: right at .5, .55 and .6
    assert pytest.approx((0.3, 1, 0)) == (got.AP, got.AP50, got.AP75)
    assert got.iou_type == "bbox"


def test_json_has_the_figures_by_name() -> None:
    fields = msgspec.structs.asdict(evaluate_boxes(truth_of([person(1, 0)], 1), [found(0)]))
    assert list(fields) == [
        "iou_type", "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL", "images", "people",
    ]  # fmt: skip
    assert fields["APM"] is None
    assert msgspec.json.encode(fields)


def test_crowds_and_unlabelled_people_are_neither_asked_for_nor_held_against() -> None:
    crowd = msgspec.structs.replace(person(2, 0, x=200), iscrowd=1)
    hidden = msgspec.structs.replace(person(3, 1, x=50), keypoints=(0.0,) * 6)
    truth = truth_of([person(1, 0), crowd, hidden], 2)
    got = evaluate_keypoints(truth, [found(0), found(1, score=0.99)], SIGMAS)
    assert (got.AP, got.people) == (pytest.approx(1), 1)


def test_other_categories_stay_out() -> None:
    dog = msgspec.structs.replace(person(2, 0, x=250), category_id=18)
    truth = truth_of([person(1, 0), dog], 1)
    got = evaluate_boxes(truth, [found(0), found(0, 250) | {"category_id": 18, "score": 1.0}])
    assert (got.AP, got.people) == (pytest.approx(1), 1)


@pytest.mark.parametrize(
    ("results", "sigmas", "message"),
    [
        ([found(9)], SIGMAS, "image 9, which the annotations do not have"),
        ([found(0) | {"keypoints": [1, 2, 3]}], SIGMAS, "result of image 0 has 3 keypoint values"),
        ([found(0)], (*SIGMAS, 0.1), "annotation of image 0 has 6"),
        ([found(0)], (), "has none"),
        ([{"image_id": 0}], SIGMAS, "score"),
    ],
)
def test_what_does_not_fit_is_refused(
    results: Any, sigmas: tuple[float, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_keypoints(truth_of([person(1, 0)], 1), results, sigmas)


def test_boxes_need_boxes() -> None:
    with pytest.raises(InputError, match="no bbox"):
        evaluate_boxes(truth_of([person(1, 0)], 1), [{"image_id": 0, "score": 0.5}])


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)


def test_importing_evaluation_loads_no_evaluator() -> None:
    code = (
        "import edge.evaluation.average_precision, sys; sys.exit('faster_coco_eval' in sys.modules)"
    )
    assert python(code).returncode == 0


def test_without_the_evaluator_the_message_says_what_to_install() -> None:
    code = """
import sys
sys.modules["faster_coco_eval"] = None
from edge.evaluation.coco import GroundTruth
from edge.evaluation.average_precision import evaluate_boxes
evaluate_boxes(GroundTruth(images=(), annotations=(), categories=()), [])
"""
    assert "MissingDependencyError: faster-coco-eval is not installed" in python(code).stderr
    assert "edgepose[eval]" in python(code).stderr


def noisy(count: int, seed: int, spread: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        found(image, 50 + float(rng.normal(0, spread)), float(rng.random()))
        for image in range(count)
        for _ in range(int(rng.integers(1, 3)))
    ]


def test_bootstrap_without_rounds_is_the_difference_of_aps() -> None:
    truth = truth_of([person(image + 1, image) for image in range(12)], 12)
    a, b = noisy(12, 0, 3), noisy(12, 1, 8)
    drop = bootstrap_ap_drop(truth, a, b, sigmas=SIGMAS, rounds=0)
    first, second = (evaluate_keypoints(truth, each, SIGMAS).AP for each in (a, b))
    assert first is not None
    assert second is not None
    assert drop == pytest.approx((first - second,) * 3)
    boxes = bootstrap_ap_drop(truth, a, b, rounds=0)
    first, second = (evaluate_boxes(truth, each).AP for each in (a, b))
    assert first is not None
    assert second is not None
    assert boxes.drop == pytest.approx(first - second)


def test_bootstrap_equals_evaluating_copies_of_the_drawn_images() -> None:
    """One round against brute force: the same draw, with every drawn image a new image of its own."""
    truth = truth_of([person(image + 1, image) for image in range(8)], 8)
    a, b = noisy(8, 2, 4), noisy(8, 3, 9)
    drawn = np.random.default_rng(5).integers(0, 8, 8)
    copies = truth_of([person(new + 1, new) for new in range(8)], 8)

    def redraw(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            each | {"image_id": new}
            for new, old in enumerate(drawn)
            for each in results
            if each["image_id"] == old
        ]

    expected = [evaluate_keypoints(copies, redraw(each), SIGMAS).AP for each in (a, b)]
    got = bootstrap_ap_drop(truth, a, b, sigmas=SIGMAS, rounds=1, seed=5)
    assert expected[0] is not None
    assert expected[1] is not None
    assert (got.low, got.high) == pytest.approx((expected[0] - expected[1],) * 2)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 10))
def test_bootstrap_of_equal_results_is_exactly_nothing(seed: int, count: int) -> None:
    truth = truth_of([person(image + 1, image) for image in range(count)], count)
    results = noisy(count, seed, 6)
    assert bootstrap_ap_drop(truth, results, results, sigmas=SIGMAS, rounds=5, seed=seed) == (
        0,
        0,
        0,
    )


def test_bootstrap_needs_labelled_people() -> None:
    with pytest.raises(InputError, match="no labelled person"):
        bootstrap_ap_drop(truth_of([], 2), [], [], sigmas=SIGMAS)


def test_a_pose_found_twice_is_dropped_in_its_own_image_only() -> None:
    kept = drop_duplicates(
        [found(0, score=0.4), found(0, score=0.6), found(1), found(0, 200)], SIGMAS
    )
    assert sorted((each.image_id, each.score) for each in kept) == [(0, 0.6), (0, 0.9), (1, 0.9)]
    with pytest.raises(InputError, match="no bbox"):
        drop_duplicates([{key: value for key, value in found(0).items() if key != "bbox"}], SIGMAS)


def test_crowd_levels_need_crowd_indices() -> None:
    truth = truth_of([], 3)
    with pytest.raises(InputError, match="no crowdIndex"):
        crowd_level(truth, "easy")
    indexed = msgspec.structs.replace(
        truth,
        images=tuple(
            msgspec.structs.replace(image, crowd_index=index)
            for image, index in zip(truth.images, (0.0, 0.2, 0.8), strict=True)
        ),
    )
    levels = [crowd_level(indexed, level) for level in ("easy", "medium", "hard")]
    assert levels == [[0], [1], [2]]


def test_parts_come_from_133_keypoints_and_keep_the_bodys_box() -> None:
    values = [float(value) for value in range(399)]
    result = part_results([{"image_id": 0, "score": 0.5, "keypoints": values}], "foot")[0]
    assert result.keypoints == tuple(values[51:69])
    assert result.bbox == (0, 1, 48, 48)
    absent = values[:273] + [0.0] * 126
    assert part_results([{"image_id": 0, "score": 0.5, "keypoints": absent}], "lefthand") == []
    with pytest.raises(InputError, match="annotation of a person has 0 values for face"):
        part_truth(truth_of([person(1, 0)], 1), "face")


def test_people_without_a_whole_body_are_unlabelled_in_its_parts() -> None:
    fields = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    whole = msgspec.structs.replace(
        person(1, 0),
        keypoints=(1.0, 1.0, 2.0) * 17,
        **{name: (1.0, 1.0, 2.0) * count for name, count in fields.items()},
    )
    body_alone = msgspec.structs.replace(person(2, 0), keypoints=(1.0, 1.0, 2.0) * 17)
    bare = msgspec.structs.replace(person(3, 0), keypoints=())
    truth = truth_of([body_alone, whole, bare], 1)
    feet = part_truth(truth, "foot").annotations
    assert [len(each.keypoints) for each in feet] == [18, 18, 18]
    assert [each.labelled for each in feet] == [False, True, False]
    bodies = part_truth(truth, "body").annotations
    assert [each.labelled for each in bodies] == [True, True, False]
    with pytest.raises(InputError, match="COCO-WholeBody needs all 133 keypoints"):
        part_truth(truth_of([body_alone, bare], 1), "foot")
