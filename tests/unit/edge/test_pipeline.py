"""The pipeline's stages around scripted sessions: when it detects, whom it follows, what it drops."""

from collections.abc import Callable

import cv2
import msgspec
import numpy as np
import pytest
from scripted import COCO, detector_spec, pose_spec

from edge.model import Model
from edge.pipeline import Pipeline, TrackOptions, follow_boxes
from edge.schema import KeypointSchema
from edge.types import Frame, Poses
from runtimes.base import Outputs
from runtimes.errors import EngineError, InputError, SourceError
from runtimes.fake import FakeSession

SIDE = 64
POSE = pose_spec(SIDE)
DETECTOR = detector_spec((320, 320))
FRAME = np.zeros((320, 320, 3), np.uint8)
# a ring of keypoints through most of the crop, all sure
ANGLES = np.linspace(0, 2 * np.pi, 17, endpoint=False)
RING = np.stack([0.5 + 0.4 * np.sin(ANGLES), 0.5 + 0.4 * np.cos(ANGLES), np.ones(17)], axis=1)


def ring(feeds: Outputs) -> Outputs:
    return {"yxs": np.tile(RING.astype(np.float32), (len(feeds["image"]), 1, 1, 1))}


def found(*rows: list[float], labels: tuple[int, ...] = ()) -> Outputs:
    dets = np.array([rows], np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.array([labels or [0] * len(rows)], np.int64)}


ONE = found([100, 100, 200, 200, 0.9])
NO_BOXES = found()


def pipeline(
    detections: Outputs | list[Outputs],
    pose: Callable[[Outputs], Outputs] = ring,
    **options: object,
) -> tuple[Pipeline, FakeSession, FakeSession]:
    script = detections if isinstance(detections, list) else lambda _: detections
    poses, boxes = FakeSession(pose), FakeSession(script)
    return Pipeline(Model(POSE, poses), Model(DETECTOR, boxes), **options), poses, boxes


@pytest.mark.parametrize("skip", [1, 2, 3, 7])
def test_the_detector_runs_on_every_skip_th_frame(skip) -> None:
    # the ring fills 0.8 of the box: this scale keeps its size
    pipe, _, detector = pipeline(ONE, skip=skip, tracking=TrackOptions(pose_bbox_scale=1.25))
    frames = [Frame(FRAME, index, index / 30) for index in range(14)]
    results = list(pipe.stream(frames))
    wanted = [index % skip == 0 for index in range(14)]
    assert [result.detected for result in results] == wanted
    assert len(detector.feeds) == sum(wanted)
    assert [result.frame.index for result in results] == list(range(14))
    assert all(len(result.poses) == 1 for result in results)
    assert all((result.timings.detect_ms > 0) for result in results if result.detected)
    assert results[0].timings.total_ms >= results[0].timings.pose_ms > 0


def test_skipping_counts_the_frames_given_not_their_index() -> None:
    pipe, _, detector = pipeline(ONE, skip=2)
    for index in (4, 9, 11):
        pipe.step(Frame(FRAME, index, index / 30))
    assert len(detector.feeds) == 2
    pipe.reset()
    pipe(FRAME)
    assert len(detector.feeds) == 3


def test_between_detections_the_last_poses_are_followed() -> None:
    pipe, _, _ = pipeline(ONE, skip=5)
    first, second = pipe(FRAME), pipe(FRAME)
    np.testing.assert_allclose(first.boxes, [[100, 100, 200, 200]])
    low, high = first.xy[0].min(axis=0), first.xy[0].max(axis=0)
    # the padded box around the keypoints lies inside the detected one, whose margins around it are kept
    centre, half = (low + high) / 2, (high - low) / 2 * TrackOptions().pose_bbox_scale
    assert (centre - half > 100).all()
    assert (centre + half < 200).all()
    np.testing.assert_allclose(second.boxes[0], [100, 100, 200, 200], atol=1e-3)
    assert second.box_scores.tolist() == first.box_scores.tolist()


def test_an_empty_scene_stays_empty_and_costs_nothing() -> None:
    pipe, pose, detector = pipeline([NO_BOXES, ONE], skip=3)
    assert [len(pipe(FRAME)) for _ in range(5)] == [0, 0, 0, 1, 1]
    assert len(detector.feeds) == 2
    assert len(pose.feeds) == 2


def test_a_person_who_is_no_longer_seen_ends() -> None:
    def fading(feeds: Outputs) -> Outputs:
        outputs = ring(feeds)
        outputs["yxs"][..., 2:, 2] = 0.1  # two sure keypoints are too few
        return outputs

    pipe, pose, _ = pipeline([ONE], fading, skip=4)
    assert [len(pipe(FRAME)) for _ in range(3)] == [1, 0, 0]
    assert len(pose.feeds) == 1


def test_weak_keypoints_do_not_stretch_the_box() -> None:
    xy = np.zeros((2, 17, 2), np.float32)
    xy[:, :4] = [[10, 20], [30, 20], [10, 60], [30, 60]]
    xy[:, 4:] = [500, -400]
    scores = np.full((2, 17), 0.29, np.float32)
    scores[:, :4] = 0.31
    scores[1, 1:] = 0.0
    boxes = np.zeros((2, 4), np.float32)
    poses = Poses(xy, scores, boxes, np.float32([0.8, 0.7]), np.zeros(2, np.int32), COCO)
    followed = follow_boxes(poses, TrackOptions(pose_bbox_scale=1.5))
    assert followed.boxes.tolist() == [
        [5, 10, 35, 70]
    ]  # 20 x 40 about (20, 40), half as much again
    assert followed.scores.tolist() == pytest.approx([0.8])
    assert len(follow_boxes(poses[:0], TrackOptions())) == 0


@pytest.mark.parametrize("confident", [2, 3, 4])
def test_a_person_is_followed_from_min_keypoints_on(confident: int) -> None:
    scores = np.zeros((1, 17), np.float32)
    scores[0, :confident] = 0.3  # kpt_thr itself is confident enough
    xy = np.tile(np.arange(17, dtype=np.float32)[:, None], (1, 1, 2)).reshape(1, 17, 2)
    boxes, one = np.zeros((1, 4), np.float32), np.ones(1, np.float32)
    poses = Poses(xy, scores, boxes, one, np.zeros(1, np.int32), COCO)
    followed = follow_boxes(
        poses, TrackOptions(pose_kpt_thr=0.3, pose_min_keypoints=3, pose_bbox_scale=1.0)
    )
    assert len(followed) == (confident >= 3)


def test_one_person_found_twice_is_one_person() -> None:
    twice = found([100, 100, 200, 200, 0.6], [101, 101, 201, 201, 0.9], [10, 10, 60, 60, 0.5])
    pipe, _, _ = pipeline(twice)
    poses = pipe(FRAME)
    assert poses.box_scores.tolist() == pytest.approx([0.9, 0.5])  # the surer of the two stays
    lenient, _, _ = pipeline(twice, tracking=TrackOptions(pose_nms_thr=1.0))
    assert len(lenient(FRAME)) == 3


def test_keypoints_without_sigmas_are_not_compared() -> None:
    keypoints = msgspec.structs.replace(COCO.to_spec(), sigmas=())
    pose = Model(msgspec.structs.replace(POSE, keypoints=keypoints), FakeSession(ring))
    twice = found([100, 100, 200, 200, 0.6], [100, 100, 200, 200, 0.9])
    pipe = Pipeline(pose, Model(DETECTOR, FakeSession(lambda _: twice)))
    assert len(pipe(FRAME)) == 2


CROWD = found(
    *[[40.0 * i, 0, 40.0 * i + 30, 30, score] for i, score in enumerate((0.2, 0.9, 0.35, 0.5))]
)


@pytest.mark.parametrize(
    ("options", "scores"),
    [
        ({}, [0.9, 0.5, 0.35]),
        ({"det_thr": 0.1}, [0.9, 0.5, 0.35, 0.2]),
        ({"det_thr": 0.45}, [0.9, 0.5]),
        ({"max_people": 2}, [0.9, 0.5]),
        ({"det_thr": 0.6, "max_people": 3}, [0.9]),
    ],
)
def test_the_surest_boxes_above_the_threshold_are_kept(options, scores) -> None:
    pipe, _, _ = pipeline(CROWD, **options)
    assert pipe(FRAME).box_scores.tolist() == pytest.approx(scores)


def test_only_people_are_people() -> None:
    zoo = found([0, 0, 9, 9, 0.9], [0, 0, 9, 9, 0.8], labels=(1, 0))
    spec = msgspec.structs.replace(DETECTOR, classes=("person", "dog"))
    pipe = Pipeline(Model(POSE, FakeSession(ring)), Model(spec, FakeSession([zoo])))
    assert pipe(FRAME).box_scores.tolist() == pytest.approx([0.8])


@pytest.mark.parametrize(
    ("classes", "det_classes", "kept"),
    [
        (None, (), [0.9, 0.8, 0.7]),
        (("hand",), (), [0.9, 0.8, 0.7]),
        (("ball", "PERSON", "net"), (), [0.8]),
        (("ball", "Person", "net"), ("ball",), [0.9]),
        (("ball", "player", "referee"), ("Player", " referee "), [0.8, 0.7]),
        (("player", "player", "ball"), ("player",), [0.9, 0.8]),
        (("ball", "person", "Player"), "player", [0.7]),  # a string is one name
        (("ball", "person", "net"), "", [0.8]),
    ],
)
def test_det_classes_say_which_boxes_are_people(classes, det_classes, kept) -> None:
    rows = [[0, 0, 9, 9, score] for score in (0.9, 0.8, 0.7)]
    three = found(*rows, labels=(0, 1, 2))
    spec = msgspec.structs.replace(DETECTOR, classes=classes)
    pose, detector = Model(POSE, FakeSession(ring)), Model(spec, FakeSession([three]))
    pipe = Pipeline(pose, detector, det_classes=det_classes, pose_nms="none")
    assert pipe(FRAME).box_scores.tolist() == pytest.approx(kept)


@pytest.mark.parametrize(
    ("classes", "det_classes", "said"),
    [
        (("player", "ball"), (), "no class is called person; .*--det-classes .* of player, ball"),
        (("player", "ball"), ("plyer",), "no class plyer; its classes are player, ball"),
        (None, ("player",), "no class player; its classes have no names"),
        (("player", "ball"), "plyer", "no class plyer; its classes are player, ball"),
        (tuple(f"c{i}" for i in range(300)), (), r"c19 \.\.\. \(300 in all\)"),
    ],
)
def test_a_detector_without_people_is_refused(classes, det_classes, said) -> None:
    spec = msgspec.structs.replace(DETECTOR, classes=classes)
    with pytest.raises(InputError, match=said):
        Pipeline(
            Model(POSE, FakeSession(ring)),
            Model(spec, FakeSession([])),
            det_classes=det_classes,
        )


def test_without_a_detector_the_frame_is_one_person() -> None:
    pipe = Pipeline(Model(POSE, FakeSession(ring)), skip=3)
    for index in range(4):
        result = pipe.step(Frame(FRAME, index, index / 30))
        assert result.poses.boxes.tolist() == [[0, 0, 320, 320]]
        assert result.detected is False


@pytest.mark.parametrize("option", ["skip", "max_people"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, float("nan"), True, "2"])
def test_counts_are_whole_numbers_from_1(option, value) -> None:
    with pytest.raises(InputError, match=f"{option} must be a whole number of at least 1, not"):
        pipeline(ONE, **{option: value})
    if value == -1:  # half of the keypoints
        return
    with pytest.raises(InputError, match="min_keypoints must be a whole number of at least 1, not"):
        TrackOptions(pose_min_keypoints=value)


@pytest.mark.parametrize("value", [0, -1, 101, float("nan"), float("inf"), True, "2", None])
def test_the_scale_of_a_followed_box_is_above_0(value) -> None:
    with pytest.raises(InputError, match="bbox_scale must be a number above 0, at most 100, not"):
        TrackOptions(pose_bbox_scale=value)


def test_people_of_few_keypoints_are_followed_by_all_of_them() -> None:
    schema = KeypointSchema("ends", ("top", "bottom"), (), (), ())
    xy = np.array([[[10, 10], [30, 50]]] * 2, np.float32)
    scores = np.array([[0.9, 0.9], [0.9, 0.1]], np.float32)
    boxes = np.array([[10, 10, 30, 50]] * 2, np.float32)
    poses = Poses(xy, scores, boxes, scores[:, 0], np.full(2, -1, np.int32), schema)
    assert len(follow_boxes(poses, TrackOptions(pose_min_keypoints=3))) == 1


@pytest.mark.parametrize("value", [7, -0.1, 1.001, float("nan"), float("inf"), True, "0.5"])
def test_thresholds_are_numbers_from_0_to_1(value) -> None:
    with pytest.raises(InputError, match="det_thr must be a number from 0 to 1, not"):
        pipeline(ONE, det_thr=value)
    for name in ("pose_kpt_thr", "pose_nms_thr"):
        with pytest.raises(InputError, match=f"{name} must be a number from 0 to 1, not"):
            TrackOptions(**{name: value})


@pytest.mark.parametrize("value", [0, 0.5, 1, np.float32(0.5)])
def test_thresholds_and_counts_at_their_limits_are_taken(value) -> None:
    pipe, _, _ = pipeline(
        ONE, det_thr=value, skip=np.int64(2), tracking=TrackOptions(pose_kpt_thr=value)
    )
    assert isinstance(pipe(FRAME), Poses)


def test_models_in_the_wrong_place_are_refused() -> None:
    with pytest.raises(InputError, match="top-down"):
        Pipeline(Model(DETECTOR, FakeSession([])))
    with pytest.raises(InputError, match="finds boxes"):
        Pipeline(Model(POSE, FakeSession([])), Model(POSE, FakeSession([])))


def test_closing_closes_both_models() -> None:
    pipe, pose, detector = pipeline(ONE)
    with pipe:
        pipe(FRAME)
    for session in (pose, detector):
        with pytest.raises(EngineError):
            session.run({"image": FRAME[None]})


def write_clip(path, levels) -> str:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (320, 320))
    for level in levels:
        writer.write(np.full((320, 320, 3), level, np.uint8))
    writer.release()
    return str(path)


def test_a_stream_is_opened_from_a_path(tmp_path) -> None:
    clip = write_clip(tmp_path / "clip.avi", range(0, 100, 20))
    pipe, _, detector = pipeline(ONE, skip=2)
    pipe(FRAME)
    for source in (clip, tmp_path / "clip.avi"):
        results = list(pipe.stream(source))
        assert [result.frame.name for result in results] == [f"clip_{n:06d}" for n in range(5)]
        # each file is a new scene: the detector runs on its first frame
        assert [result.detected for result in results] == [True, False, True, False, True]
    assert len(detector.feeds) == 1 + 3 + 3


def test_a_stream_takes_paths_arrays_and_frames(tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), FRAME + 7)
    pil = pytest.importorskip("PIL.Image")
    pipe, _, _ = pipeline(ONE)
    given = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        FRAME + 9,
        FRAME[..., 0] + np.uint8(3),
        pil.fromarray(FRAME + 5),
        Frame(FRAME + 1, 40, 2.5, "own"),
    ]
    results = list(pipe.stream(given))
    frames = [result.frame for result in results]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [7, 7, 9, 3, 5, 1]
    assert [(frame.index, frame.name) for frame in frames] == [
        *[(0, "a.png"), (1, "a.png"), (2, ""), (3, ""), (4, ""), (40, "own")]
    ]
    assert [frame.time_s for frame in frames[:5]] == pytest.approx([n / 30 for n in range(5)])
    assert all(len(result.poses) == 1 for result in results)
    assert len(list(pipe.stream(each for each in given))) == 6
    assert len(list(pipe.stream(np.stack([FRAME] * 3)))) == 3
    assert len(pipe(tmp_path / "a.png")) == len(pipe(FRAME[..., 0])) == 1


@pytest.mark.parametrize(
    ("source", "error", "said"),
    [
        ("absent.mp4", SourceError, "no such file"),
        (977, SourceError, "camera 977 gives no frames"),
        ("/dev/video977", SourceError, "camera 977 gives no frames"),
        (FRAME, InputError, r"for one image call pipeline\(image\)"),
        (None, InputError, "not NoneType"),
        (1.5, InputError, "not float"),
        ([None], InputError, "not None"),
        (["absent.png"], SourceError, "absent.png"),
    ],
)
def test_what_gives_no_frame_is_named(source, error, said) -> None:
    pipe, _, _ = pipeline(ONE)
    with pytest.raises(error, match=said):
        list(pipe.stream(source))


def test_boxes_without_area_and_outside_the_frame_are_left_out() -> None:
    """A network may give them, and keypoints that all lie at one place are followed by one."""
    flat = found([10, 10, 10, 90, 0.9], [100, 100, 200, 200, 0.8], [50, 50, 40, 90, 0.7])
    pipe, _, _ = pipeline(flat)
    assert pipe(FRAME).box_scores.tolist() == pytest.approx([0.8])

    beside = found([-90, 10, -1, 90, 0.9], [9000, 10, 9100, 90, 0.8], [-20, 10, 50, 90, 0.7])
    pipe, _, _ = pipeline(beside)
    assert pipe(FRAME).box_scores.tolist() == pytest.approx([0.7])

    def heap(feeds: Outputs) -> Outputs:
        outputs = ring(feeds)
        outputs["yxs"][..., :2] = 0.5
        return outputs

    pipe, _, _ = pipeline(ONE, heap, skip=2)
    assert [len(pipe(FRAME)) for _ in range(3)] == [1, 0, 1]


def test_a_pipeline_says_what_it_is() -> None:
    pipe, _, _ = pipeline(ONE, skip=5)
    assert repr(pipe) == "Pipeline(pose=pose, detector=detector, skip=5)"
    assert (
        repr(Pipeline(Model(POSE, FakeSession(ring))))
        == "Pipeline(pose=pose, detector=None, skip=1)"
    )
