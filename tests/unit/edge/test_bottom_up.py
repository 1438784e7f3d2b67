"""Bottom-up models: all people of a frame from one run, through model, pipeline and evaluation."""

import msgspec
import numpy as np
import pytest

from edge.catalog.specs_openpose import openpose_spec, openpose_tf_spec
from edge.evaluation.box_sources import annotated_boxes
from edge.evaluation.coco import PERSON, Annotation, Category, CocoImage, GroundTruth
from edge.evaluation.dataset import Dataset
from edge.evaluation.predict import predict
from edge.evaluation.schema_map import as_schema, scored_schema
from edge.evaluation.score import score
from edge.geometry import Crop
from edge.image import write_image
from edge.model import Model, people_in_frame
from edge.pipeline import Pipeline
from edge.schema import load_schema
from edge.synth.part_maps import draw_part_maps
from edge.types import Frame, Keypoints, Poses
from runtimes.base import Array, Outputs
from runtimes.codec_spec import BoxesCodec, PafCodec
from runtimes.errors import InputError
from runtimes.fake import FakeSession
from runtimes.spec import ModelSpec, TensorSpec

OPENPOSE, COCO = load_schema("openpose18"), load_schema("coco17")
WH = (40, 24)  # of the maps
INPUT_WH = (320, 192)
SPEC = openpose_spec("bottom-up", INPUT_WH, "openpose18")
FRAME = np.zeros(
    (288, 640, 3), np.uint8
)  # 2 x too wide for the input: shown at half size, padded below
FIGURE = np.array([
    (0, 1), (0, 4), (-3, 4), (-4, 7), (-4, 10), (3, 4), (4, 7), (4, 10), (-2, 10), (-2, 14), (-2, 17),
    (2, 10), (2, 14), (2, 17), (-1, 0), (1, 0), (-3, 1), (3, 1),
])  # fmt: skip
NECKS = np.array([(7.0, 1.2), (20.0, 1.4), (32.0, 1.1)])


def maps_of(spec: ModelSpec, people: Array) -> Outputs:
    """Maps of people (N, 18, 2) in bins, under the spec's names."""
    assert isinstance(spec.codec, PafCodec)
    seen = np.ones(people.shape[:2], bool)
    heatmaps, fields = draw_part_maps(people, seen, spec.codec.limbs, WH)
    return {"heatmap": heatmaps[None], "paf": fields[None]}


def model(people: Array, spec: ModelSpec = SPEC) -> tuple[Model, FakeSession]:
    session = FakeSession(lambda _feeds: maps_of(spec, people))
    return Model(spec, session), session


def people(count: int) -> Array:
    return (NECKS[:count, None] + FIGURE).reshape(-1, 18, 2)


def frame_pixels(bins: Array) -> Array:
    return ((bins + 0.5) * 8 - 0.5) * 2  # the frame enters at half size


def test_people_come_in_frame_pixels_with_boxes_around_them() -> None:
    wanted = people(3)
    net, session = model(wanted)
    poses = net(FRAME)
    assert isinstance(poses, Poses)
    assert len(session.feeds) == 1  # one run, however many people
    assert session.feeds[0]["image"].shape == (1, *INPUT_WH[::-1], 3)
    assert (session.feeds[0]["image"][0, 144:] == 128).all()  # the letterbox

    order = np.argsort(poses.xy[:, 1, 0])
    np.testing.assert_allclose(poses.xy[order], frame_pixels(wanted), atol=1.5)
    np.testing.assert_array_equal(poses.boxes[:, :2], poses.xy.min(axis=1))
    np.testing.assert_array_equal(poses.boxes[:, 2:], poses.xy.max(axis=1))
    np.testing.assert_array_equal(poses.box_scores, 1)
    assert poses.ids.tolist() == [-1] * 3


def test_no_people_are_an_empty_result() -> None:
    net, _ = model(people(0))
    poses = net.poses(FRAME)
    assert len(poses) == 0
    assert poses.schema.names == OPENPOSE.names


def test_what_was_not_found_lies_at_zero_and_does_not_stretch_the_box() -> None:
    crop = Crop(np.array([[0.5, 0, 10], [0, 0.5, 20]], np.float32), (100, 100))
    xy = np.array([[(20, 40), (30, 60), (0, 0)], [(0, 0), (0, 0), (0, 0)]], np.float32)
    scores = np.array([[0.9, 0.3, 0], [0, 0, 0]], np.float32)
    schema = msgspec.structs.replace(OPENPOSE.to_spec(), names=("a", "b", "c"), edges=(), pairs=())
    poses = people_in_frame(Keypoints(xy, scores), crop, type(OPENPOSE).from_spec(schema))
    assert len(poses) == 1  # the second has no keypoint
    assert poses.xy.tolist() == [[[20, 40], [40, 80], [0, 0]]]
    assert poses.boxes.tolist() == [[20, 40, 40, 80]]
    assert poses.box_scores.tolist() == pytest.approx([2 / 3])


def test_boxes_and_the_flip_test_are_refused() -> None:
    net, session = model(people(1))
    with pytest.raises(InputError, match="is bottom-up and finds all people in the frame"):
        net(FRAME, np.array([[0, 0, 10, 10]], np.float32))
    with pytest.raises(InputError, match="is bottom-up and finds all people in the frame"):
        net.poses(FRAME, flip=True)
    assert not session.feeds


def test_the_pipeline_runs_the_network_once_a_frame() -> None:
    net, session = model(people(3))
    with Pipeline(net) as pipeline:
        results = list(pipeline.stream(Frame(FRAME, index, 0.0) for index in range(2)))
    assert [len(result.poses) for result in results] == [3, 3]
    assert [result.detected for result in results] == [False, False]
    assert all(result.timings.detect_ms >= 0 for result in results)
    assert len(session.feeds) == 2


def test_the_pipeline_keeps_the_best_people_in_their_order() -> None:
    net, _ = model(people(3))
    all_people = net.poses(FRAME)
    with Pipeline(net, max_people=2) as pipeline:
        kept = pipeline(FRAME)
    best = sorted(np.argsort(-all_people.instance_scores())[:2])
    np.testing.assert_array_equal(kept.xy, all_people.xy[best])


@pytest.mark.parametrize("pose_nms", ["oks", "soft-oks", "parametric", "none"])
def test_no_person_is_dropped_as_a_duplicate(pose_nms: str) -> None:
    near = np.stack([people(2)[1], people(2)[1] + (2.6, 0)])  # two people, shoulder in shoulder
    net, _ = model(near)
    alone = len(net.poses(FRAME))
    with Pipeline(net, pose_nms=pose_nms) as pipeline:
        assert len(pipeline(FRAME)) == alone


def test_a_detector_is_refused() -> None:
    net, _ = model(people(1))
    spec = msgspec.structs.replace(
        SPEC, model="det", task="detect", codec=BoxesCodec(),
        outputs=(TensorSpec(name="dets"), TensorSpec(name="labels")), keypoints=None,
    )  # fmt: skip
    with pytest.raises(InputError, match="leave out the detector"):
        Pipeline(net, Model(spec, FakeSession([])))


def test_keypoints_move_to_another_set_by_name() -> None:
    net, _ = model(people(2))
    poses = net.poses(FRAME)
    coco = as_schema(poses, COCO)
    assert coco.schema is COCO
    for name in COCO.names:
        ours, theirs = COCO.names.index(name), OPENPOSE.names.index(name)
        np.testing.assert_array_equal(coco.xy[:, ours], poses.xy[:, theirs])
        np.testing.assert_array_equal(coco.scores[:, ours], poses.scores[:, theirs])
    back = as_schema(coco, OPENPOSE)
    neck = OPENPOSE.names.index("neck")
    assert not back.xy[:, neck].any()
    assert not back.scores[:, neck].any()
    assert as_schema(poses, poses.schema) is poses


def test_sets_without_sigmas_are_scored_as_cocos_where_they_hold_them() -> None:
    assert scored_schema(OPENPOSE) is COCO
    assert scored_schema(load_schema("body25")) is COCO
    assert scored_schema(COCO) is COCO
    for name in ("body26", "aic14"):  # one has sigmas of its own, the other lacks COCO's points
        assert scored_schema(load_schema(name)) is load_schema(name)


def test_evaluation_finds_the_people_by_itself(tmp_path) -> None:
    pytest.importorskip("faster_coco_eval")
    write_image(tmp_path / "a.png", FRAME)
    truth = [as_coco(number, person) for number, person in enumerate(frame_pixels(people(3)), 1)]
    dataset = Dataset(
        GroundTruth(
            images=(CocoImage(id=7, file_name="a.png", width=640, height=288),),
            annotations=tuple(truth),
            categories=(Category(id=PERSON),),
        ),
        {7: tmp_path / "a.png"},
    )
    net, _ = model(people(3))
    results = predict(net, dataset)
    assert len(results) == 3
    assert all(len(result.keypoints) == 51 for result in results)
    assert pytest.approx(1.0) == score(net, dataset, results).AP
    two = score(net, dataset, results[:2])
    assert pytest.approx(2 / 3) == two.AR
    for options in ({"boxes": annotated_boxes(dataset.truth)}, {"flip": True}):
        with pytest.raises(InputError, match="finds all people itself"):
            predict(net, dataset, **options)


def as_coco(number: int, person: Array) -> Annotation:
    xy = person[[OPENPOSE.names.index(name) for name in COCO.names]]
    low, size = xy.min(axis=0), np.ptp(xy, axis=0)
    return Annotation(
        id=number,
        image_id=7,
        category_id=PERSON,
        bbox=(*low.tolist(), *size.tolist()),
        area=float(size.prod()),
        keypoints=tuple(np.concatenate([xy, np.full((17, 1), 2)], axis=1).reshape(-1).tolist()),
    )


def test_a_stretched_input_comes_back_by_both_factors() -> None:
    spec = openpose_tf_spec()
    assert isinstance(spec.codec, PafCodec)
    wanted = np.add(people(1), (5, 2))
    heatmaps, fields = draw_part_maps(wanted, np.ones((1, 18), bool), spec.codec.limbs, (54, 46))
    maps = {"maps": np.concatenate([heatmaps, fields])[None]}
    poses = Model(spec, FakeSession([maps])).poses(FRAME)
    pixels = ((wanted + 0.5) * 8 - 0.5) * (640 / 432, 288 / 368)
    np.testing.assert_allclose(poses.xy, pixels, atol=1.5)
