"""Reading of COCO detection results: what is kept, and what is refused before a model runs."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.evaluation.coco import Category, CocoImage, GroundTruth, Id
from edge.evaluation.detections import load_detections
from edge.types import Detections
from runtimes.errors import EdgeposeWarning, InputError

TRUTH = GroundTruth(
    images=tuple(CocoImage(id=n, file_name=f"{n}.png") for n in (7, 8)),
    annotations=(),
    categories=(Category(id=1, name="person"), Category(id=2, name="dog")),
)


def box(score: Any, image: Any = 7, category: Any = 1, bbox: Any = (10, 20, 30, 40)) -> Any:
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


def boxes_of(path: Path, truth: GroundTruth, min_score: float = 0.0) -> dict[Id, Detections]:
    (found,) = load_detections(path, [truth], min_score)
    return found


def written(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boxes.json"


def test_boxes_come_by_image_best_first_as_corners(path: Path) -> None:
    found = boxes_of(
        written(path, [box(0.25), box(0.75, bbox=[1.5, 2, 3, 4]), box(0.5, image="7.0")]), TRUTH
    )
    assert found[7].scores.tolist() == [0.75, 0.5, 0.25]
    assert found[7].boxes.tolist() == [[1.5, 2, 4.5, 6], [10, 20, 40, 60], [10, 20, 40, 60]]
    assert len(found[8]) == 0


def test_a_score_at_the_threshold_counts_as_in_mmpose(path: Path) -> None:
    written(path, [box(0.25), box(0.5), box(0.75)])
    assert boxes_of(path, TRUTH, 0.5)[7].scores.tolist() == [0.75, 0.5]
    assert len(boxes_of(path, TRUTH)[7]) == 3


def test_boxes_of_other_categories_and_without_area_are_counted(path: Path) -> None:
    written(path, [box(0.5), box(0.5, category=2), box(0.5, bbox=[1, 1, 0, 5])])
    with pytest.warns(EdgeposeWarning) as said:
        found = boxes_of(path, TRUTH)
    assert len(found[7]) == 1
    texts = [str(each.message) for each in said]
    assert len(texts) == 2
    assert "1 of 3 boxes are of other categories" in texts[0]
    assert "1 of 3 boxes have no area" in texts[1]


def test_no_boxes_are_no_error_and_are_said(path: Path) -> None:
    with pytest.warns(EdgeposeWarning, match=r"no box scores 0 or more \(it holds none\)"):
        assert [len(each) for each in boxes_of(written(path, []), TRUTH).values()] == [0, 0]
    written(path, [box(0.25), box(0.5)])
    with pytest.warns(
        EdgeposeWarning, match=r"no box scores 0.6 or more \(the best score is 0.5\)"
    ):
        assert [len(each) for each in boxes_of(path, TRUTH, 0.6).values()] == [0, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([box(0.5), box(0.5, image=9)], "1 of 2 boxes are of images that the annotations do not"),
        ([box(0.5, category=3)], "no box is of category 1"),
        ([box(0.5, bbox=[1, 2, 3])], r"\[0\].bbox has 3 values"),
        ([box(0.5, bbox=None)], r"\[0\].bbox is None"),
        ([box(0.5, bbox=[1, 2, 3, float("nan")])], r"\[0\].bbox is \[1, 2, 3, nan\]"),
        ([box(0.5, bbox=[1e300, 2, 3, 4])], r"\[0\].bbox is \[1e\+300"),
        ([box(0.5, bbox=[1, 2, 1e30, 4])], "width, height in pixels"),
        ([box(None)], r"\[0\].score is None"),
        ([box("high")], r"\[0\].score is 'high'"),
        ([{"image_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}], "category_id"),
        ([3], "no list of detections"),
        ({"images": [], "annotations": []}, "it is an annotation file"),
        ({"7": []}, "it is an object"),
        ("{no", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_what_is_no_list_of_boxes_of_these_images_is_refused(
    path: Path, content: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        boxes_of(written(path, content), TRUTH)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*boxes\.json"):
        boxes_of(path, TRUTH)


def test_several_categories_are_read_apart(path: Path) -> None:
    written(path, [box(0.5), box(0.25, category=2), box(0.75, category=2, image=8)])
    dogs = msgspec.structs.replace(TRUTH, person=2)
    people, animals = load_detections(path, [TRUTH, dogs])
    assert [len(people[n]) for n in (7, 8)] == [1, 0]
    assert [animals[n].scores.tolist() for n in (7, 8)] == [[0.25], [0.75]]
