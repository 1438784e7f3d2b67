"""Value types: one score a person, keypoints by name, equality, short reprs, and other formats."""

import json
import sys

import numpy as np
import pytest

from edge.pipeline import Result, Timings
from edge.schema import KeypointSchema, load_schema
from edge.types import DenseMap, Detections, Frame, Keypoints, Person, Point, Poses
from runtimes.errors import InputError, MissingDependencyError

SCHEMA = KeypointSchema("pair", ("a", "b"), (), (), ())
COCO = load_schema("coco17")


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
    assert poses(scores, 0.5).people()[0].score == pytest.approx(wanted)


def crowd(count: int, schema: KeypointSchema = COCO) -> Poses:
    """Keypoint k of person n at (100 n + k, 200 + k), score (k + 1) / K; ids 7, 8, ..."""
    n, k = np.meshgrid(np.arange(count), np.arange(len(schema)), indexing="ij")
    return Poses(
        np.stack([100 * n + k, 200 + k], axis=2).astype(np.float32),
        ((k + 1) / len(schema)).astype(np.float32),
        np.float32([[100 * n, 200, 100 * n + 40, 260] for n in range(count)]).reshape(-1, 4),
        np.linspace(1, 0.5, count, dtype=np.float32),
        np.arange(count, dtype=np.int32) + 7,
        schema,
    )


def test_keypoints_have_names() -> None:
    found = crowd(3)
    wrists = found["left_wrist"]  # number 9 of COCO
    assert wrists.dtype == np.float32
    np.testing.assert_allclose(wrists, [[100 * n + 9, 209, 10 / 17] for n in range(3)], rtol=1e-6)
    xs, ys, scores = wrists.T
    assert (xs.tolist(), ys.tolist()) == ([9, 109, 209], [209] * 3)
    assert Poses.empty(COCO)["nose"].shape == (0, 3)
    for n, person in enumerate(found.people()):
        assert isinstance(person, Person)
        assert (person.id, person.box.tolist()) == (n + 7, found.boxes[n].tolist())
        x, y, score = person["left_wrist"]
        assert (x, y, score) == pytest.approx((100 * n + 9, 209, 10 / 17))
        assert person["nose"] == Point(100 * n, 200, pytest.approx(1 / 17))
        assert list(person.keypoints()) == list(COCO.names)
        xy, scores = person
        np.testing.assert_array_equal(xy, found.xy[n])
        np.testing.assert_array_equal(scores, found.scores[n])
    xy, scores = found
    assert xy is found.xy
    assert scores is found.scores


def test_an_unknown_keypoint_gets_the_nearest_names() -> None:
    for misspelt in (crowd(1), crowd(1).people()[0]):
        with pytest.raises(
            InputError, match=r"coco17 has no keypoint 'left_wirst'; it has left_wrist"
        ):
            misspelt["left_wirst"]


def test_people_are_chosen_by_number_slice_and_mask() -> None:
    found = crowd(4)
    assert found[1].ids.tolist() == [8]
    assert found[-2:].ids.tolist() == [9, 10]
    assert found[found.box_scores > 0.6].ids.tolist() == [7, 8, 9]
    assert [person.id for person in found[[3, 0]].people()] == [10, 7]
    assert Poses.empty(COCO).people() == []


IMAGE = np.zeros((48, 64, 3), np.uint8)
BOXES = Detections(np.float32([[0, 0, 9, 9]]), np.ones(1, np.float32), np.zeros(1, np.int32))


def changed(value: object, field: str) -> object:
    """The value with another number in one of its arrays."""
    fields = {name: getattr(value, name) for name in type(value).__dataclass_fields__}
    array = fields[field].copy()
    array.flat[-1] += 1
    return type(value)(**fields | {field: array})


@pytest.mark.parametrize(
    ("value", "field"),
    [
        *((crowd(2), field) for field in ("xy", "scores", "boxes", "box_scores", "ids")),
        (crowd(1).people()[0], "xy"),
        (BOXES, "labels"),
        (Keypoints(crowd(2).xy, crowd(2).scores), "scores"),
        (Frame(IMAGE, 0, 0.0), "image"),
        (DenseMap(np.zeros((2, 3, 4), np.float32)), "values"),
    ],
)
def test_values_are_equal_where_all_numbers_are(value: object, field: str) -> None:
    same = type(value)(**{name: getattr(value, name) for name in type(value).__dataclass_fields__})
    assert value == same
    assert (value != same) is False
    assert value != changed(value, field)
    assert value != "something else"


def test_values_of_other_sizes_and_sets_differ() -> None:
    assert crowd(2) != crowd(3)
    assert crowd(2) != crowd(2, load_schema("ap10k17"))
    assert Poses.empty(COCO) == Poses.empty(COCO)
    nan = crowd(1)
    nan.xy[:] = np.nan
    assert nan == nan[:]
    frame, timings = Frame(IMAGE, 3, 0.1), Timings(detect_ms=1.0, pose_ms=2.0)
    assert Result(frame, crowd(1), ("detected",) * 1, True, timings) == Result(
        frame, crowd(1), ("detected",) * 1, True, timings
    )
    assert Result(frame, crowd(1), ("detected",) * 1, True, timings) != Result(
        frame, crowd(2), ("detected",) * 2, True, timings
    )


def test_reprs_are_short() -> None:
    frame = Frame(IMAGE, 16, 0.64, "clip_000016")
    timings = Timings(load_ms=9.0, detect_ms=1.0, transform_ms=0.5, pose_ms=1.5, post_ms=0.25)
    shown = {
        repr(crowd(2)): "Poses(2 people, coco17 with 17 keypoints)",
        repr(crowd(1, load_schema("coco133"))): "Poses(1 person, coco133 with 133 keypoints)",
        repr(crowd(1).people()[0]): "Person(id 7, score 0.62, box [0, 200, 40, 260], coco17)",
        repr(Keypoints(crowd(2).xy, crowd(2).scores)): "Keypoints(2 people, 17 keypoints)",
        repr(BOXES): "Detections(1 box, best score 1.00)",
        repr(Detections.empty()): "Detections(0 boxes)",
        repr(frame): "Frame(16, 0.640 s, 64x48, 'clip_000016')",
        repr(DenseMap(np.zeros((2, 3, 4), np.float32))): "DenseMap(2 channels, 4x3)",
        repr(Result(frame, crowd(3), ("detected",) * 3, True, timings)): (
            "Result(frame 16, 3 people, detector ran, 3.2 ms)"
        ),
    }
    assert list(shown) == list(shown.values())


@pytest.mark.parametrize("image_id", [5, np.int64(5), np.int32(5), "000005.jpg"])
def test_coco_records_are_plain_json(image_id: object) -> None:
    records = json.loads(json.dumps(crowd(2).to_coco(image_id)))  # type: ignore[arg-type]
    assert [record["image_id"] for record in records] == [
        str(image_id) if image_id == "000005.jpg" else 5
    ] * 2
    assert [record["track_id"] for record in records] == [7, 8]
    assert records[1]["bbox"] == [100, 200, 40, 60]
    assert records[1]["keypoints"][:3] == [100, 200, round(1 / 17, 3)]


def test_openpose_json_of_one_frame() -> None:
    record = json.loads(json.dumps(crowd(2).to_openpose()))
    assert record["version"] == 1.3
    neck = record["people"][1]["pose_keypoints_2d"][3:6]  # between shoulders 5 and 6
    assert neck == pytest.approx([105.5, 205.5, 6 / 17], abs=1e-3)
    hand = crowd(1, load_schema("coco133")).to_openpose()["people"][0]["hand_left_keypoints_2d"]
    assert len(hand) == 63
    with pytest.raises(InputError, match="no shoulders"):
        crowd(1, load_schema("hand21")).to_openpose()


def test_plot_draws_on_a_copy() -> None:
    image = np.full((400, 400, 3), 90, np.uint8)
    drawn = crowd(2).plot(image, 0.0)
    assert (image == 90).all()
    assert (drawn != 90).any()
    assert (Poses.empty(COCO).plot(image) == 90).all()


def test_supervision_key_points() -> None:
    supervision = pytest.importorskip("supervision")
    found = crowd(3).to_supervision()
    assert isinstance(found, supervision.KeyPoints)
    np.testing.assert_array_equal(found.xy, crowd(3).xy)
    assert len(Poses.empty(COCO).to_supervision()) == 0


def test_supervision_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingDependencyError, match=r"run: pip install supervision$"):
        crowd(1).to_supervision()


@pytest.mark.parametrize("image", [None, IMAGE.astype(np.float32), IMAGE[..., 0], [[1]]])
def test_a_frame_holds_uint8_bgr(image: object) -> None:
    with pytest.raises(InputError, match=r"Frame\.image must be uint8"):
        Frame(image, 0, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "index", "time_s"),
    [
        (np.zeros((0, 0, 3), np.uint8), 0, 0.0),
        (np.zeros((0, 5, 3), np.uint8), 0, 0.0),
        (IMAGE, 0, None),
        (IMAGE, 0, "0"),
        (IMAGE, 0.5, 0.0),
        (IMAGE, None, 0.0),
    ],
)
def test_a_frame_has_pixels_a_number_and_a_time(image, index, time_s) -> None:
    with pytest.raises(InputError, match=r"Frame\.(image is empty|index must be|time_s must be)"):
        Frame(image, index, time_s)
    Frame(IMAGE, np.int64(3), np.float32(0.1))
