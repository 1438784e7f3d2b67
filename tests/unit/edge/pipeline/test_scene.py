"""People between detections, on painted frames: who is followed, who ends, and when the detector is called again.

A person is a bright rectangle. The scripted detector finds the rectangles of the frame, the scripted pose model puts a
ring of keypoints in the largest one of its crop, and is unsure where there is none.
"""

import cv2
import numpy as np
import pytest
from scripted import detector_spec, pose_spec

from edge.model import Model
from edge.pipeline import Pipeline, TrackOptions
from edge.types import Frame
from runtimes.base import Outputs
from runtimes.errors import EdgeposeWarning, EngineError, InputError
from runtimes.fake import FakeSession

SIDE, INPUT = 320, 64
POSE = pose_spec(INPUT, padding=1.25)
DETECTOR = detector_spec((SIDE, SIDE))
ANGLES = np.linspace(0, 2 * np.pi, 17, endpoint=False)
RING = np.stack([0.5 + 0.5 * np.sin(ANGLES), 0.5 + 0.5 * np.cos(ANGLES)], axis=1)
PERSON_WH = (30, 60)
FPS = 30


def paint(*corners: tuple[float, float], wh=PERSON_WH, side=SIDE) -> np.ndarray:
    """Draw one person at each top left corner."""
    frame = np.zeros((side, side, 3), np.uint8)
    for x, y in corners:
        x0, y0 = max(round(x), 0), max(round(y), 0)
        frame[y0 : max(round(y) + wh[1], 0), x0 : max(round(x) + wh[0], 0)] = 255
    return frame


def rectangles(image: np.ndarray) -> list[list[int]]:
    """Return x, y, width, height of the bright rectangles, the largest first."""
    _, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 1] > 127).astype(np.uint8))
    return sorted(stats[1:, :4].tolist(), key=lambda each: -each[2] * each[3])


def detector_run(feeds: Outputs) -> Outputs:
    (image,) = feeds["image"]
    dets = [[x, y, x + w, y + h, 0.9] for x, y, w, h in rectangles(image)]
    dets = np.array(dets, np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.zeros(dets.shape[:2], np.int64)}


def pose_run(feeds: Outputs) -> Outputs:
    rows = []
    for image in feeds["image"]:
        found = rectangles(image)
        x, y, w, h = found[0] if found else (0, 0, INPUT, INPUT)
        yx = RING * (h, w) + (y, x)
        rows.append(np.column_stack([yx / INPUT, np.full(17, 0.9 if found else 0.05)]))
    return {"yxs": np.array(rows, np.float32)[:, None]}


def pipeline(*, pose=pose_run, detector=detector_run, **options: object):
    poses, boxes = FakeSession(pose), FakeSession(detector)
    return Pipeline(Model(POSE, poses), Model(DETECTOR, boxes), **options), poses, boxes


def run(pipe: Pipeline, images, *, times=None) -> list:
    times = [n / FPS for n in range(len(images))] if times is None else times
    return [
        pipe.step(Frame(image, index, time_s))
        for index, (image, time_s) in enumerate(zip(images, times, strict=True))
    ]


def walk(first: float, step: float, count: int) -> list[np.ndarray]:
    return [paint((first + step * n, 100)) for n in range(count)]


EMPTY = paint()
STATEFUL = [{"skip": 5}, {"skip": 5, "track": True}, {"skip": "auto"}, {"track": True}]


@pytest.mark.parametrize("options", STATEFUL)
def test_an_empty_scene_has_no_ghost(options) -> None:
    """Peers take no boxes for the whole frame, and its ghost gives the next box."""
    pipe, pose, _ = pipeline(**options)
    assert [len(each.poses) for each in run(pipe, [EMPTY] * 30)] == [0] * 30
    assert not pose.feeds


@pytest.mark.parametrize("options", STATEFUL)
def test_who_left_is_no_ghost(options) -> None:
    """The boxes where a lost person may be are tried, and what is unsure there is nobody."""
    images = [*walk(100, 0, 6), *[EMPTY] * 20]
    pipe, _, _ = pipeline(**options)
    assert [len(each.poses) for each in run(pipe, images)] == [1] * 6 + [0] * 20


def test_a_stray_keypoint_does_not_inflate_the_box() -> None:
    def stray(feeds: Outputs) -> Outputs:
        outputs = pose_run(feeds)
        outputs["yxs"][..., 3, :] = (9.0, -7.0, 0.1)  # far outside, and unsure
        return outputs

    pipe, _, _ = pipeline(pose=stray, skip=10)
    results = run(pipe, walk(100, 0, 10))
    sizes = [np.ptp(each.poses.boxes.reshape(2, 2), axis=0) for each in results]
    assert (np.array(sizes) <= np.array(PERSON_WH) * 1.3).all()


def test_frames_without_people_count() -> None:
    """Peers return early there, before they count the frame."""
    images = [EMPTY] * 7 + walk(100, 0, 7)
    pipe, _, _ = pipeline(skip=4)
    results = run(pipe, images)
    assert [each.detected for each in results] == [n % 4 == 0 for n in range(14)]
    assert [len(each.poses) for each in results] == [0] * 8 + [1] * 6


def test_small_people_are_followed() -> None:
    """Peers drop those under 1000 square pixels who match no track."""
    images = [paint((50 + n, 60), wh=(9, 20)) for n in range(12)]
    pipe, _, _ = pipeline(skip=6, track=True)
    assert [each.poses.ids.tolist() for each in run(pipe, images)] == [[0]] * 12
    large = TrackOptions(det_min_bbox_size=20)
    pipe, _, _ = pipeline(skip=6, track=True, tracking=large)
    assert all(not len(each.poses) for each in run(pipe, images))


def test_ids_are_no_indices() -> None:
    """Of ids 0, 1, 2 the first leaves: peers index their list by what is left."""
    three = [paint((20, 100), (140, 100), (260, 100))] * 3
    two = [paint((140, 100), (260, 100))] * 12
    later = [paint((20, 200), (140, 100), (260, 100))] * 3
    pipe, _, _ = pipeline(track=True)
    ids = [sorted(each.poses.ids.tolist()) for each in run(pipe, [*three, *two, *later])]
    assert ids == [[0, 1, 2]] * 3 + [[1, 2]] * 12 + [[1, 2, 3]] * 3


@pytest.mark.parametrize("skip", [5, "auto"])
def test_entrants_are_found(skip) -> None:
    """At the next detection; with "auto" as soon as their motion shows, at most a few frames later."""
    images = [paint((60, 100))] * 22 + [paint((60, 100), (200, 150))] * 8
    pipe, _, _ = pipeline(skip=skip, track=True)
    counts = [len(each.poses) for each in run(pipe, images)]
    assert counts[:22] == [1] * 22
    assert counts[24 if skip == "auto" else 25 :] == [2] * len(
        counts[24 if skip == "auto" else 25 :]
    )


def test_motion_in_an_empty_scene_calls_the_detector() -> None:
    tracking = TrackOptions(det_interval=1000)
    pipe, _, _ = pipeline(skip="auto", tracking=tracking)
    results = run(pipe, [EMPTY] * 40 + [paint((150, 100))] * 3)
    assert [each.frame.index for each in results if each.detected] == [0, 40]
    assert len(results[-1].poses) == 1


@pytest.mark.parametrize("dropped", [(), (5, 6, 7, 14, 15)])
def test_auto_detects_at_least_every_det_interval_of_time(dropped) -> None:
    images = walk(100, 0, 31)
    shown = [n for n in range(31) if n not in dropped]
    pipe, _, _ = pipeline(skip="auto", tracking=TrackOptions(det_interval=10))
    found = [pipe.step(Frame(images[n], n, n / FPS)) for n in shown]
    assert [each.frame.index for each in found if each.detected] == [0, 10, 20, 30]


def test_a_lost_person_calls_the_detector_once() -> None:
    tracking = TrackOptions(det_interval=1000)
    pipe, _, _ = pipeline(skip="auto", tracking=tracking)
    results = run(pipe, [*walk(100, 0, 10), *[EMPTY] * 20])
    assert [each.frame.index for each in results if each.detected] in ([0, 10], [0, 11])


def test_a_new_scene_calls_the_detector() -> None:
    rng = np.random.default_rng(0)
    other = cv2.resize(rng.integers(0, 120, (20, 20, 3), np.uint8), (SIDE, SIDE))
    tracking = TrackOptions(det_interval=1000)
    pipe, _, _ = pipeline(skip="auto", tracking=tracking)
    results = run(pipe, [EMPTY] * 20 + [other] * 3)
    assert [each.frame.index for each in results if each.detected] == [0, 20]


def test_a_tracked_person_whom_the_detector_misses_survives() -> None:
    calls = []

    def failing(feeds: Outputs) -> Outputs:
        calls.append(1)
        return detector_run(feeds if len(calls) == 1 else {"image": feeds["image"] * 0})

    pipe, _, _ = pipeline(detector=failing, skip=3, track=True)
    results = run(pipe, walk(100, 2, 9))
    assert [each.poses.ids.tolist() for each in results] == [[0]] * 9
    assert [each.states for each in results] == [("detected",)] + [("tracked",)] * 8


def test_a_detected_box_on_a_track_is_that_person() -> None:
    pipe, pose, _ = pipeline(skip=3, track=True)
    results = run(pipe, walk(100, 2, 7))
    assert [each.poses.ids.tolist() for each in results] == [[0]] * 7
    wanted = [("detected",) if n % 3 == 0 else ("tracked",) for n in range(7)]
    assert [each.states for each in results] == wanted
    assert [len(each["image"]) for each in pose.feeds] == [1] * 7  # one crop a frame


def test_the_box_of_a_walker_is_where_the_walker_will_be() -> None:
    """Six pixels a frame, boxes whole pixels: from two frames on, the next box needs no detector."""
    pipe, _, _ = pipeline(skip=1000, track=True)
    results = run(pipe, walk(40, 6, 12))
    centres = [float(each.poses.boxes[0, [0, 2]].mean()) for each in results[2:]]
    wanted = [40 + 6 * n + PERSON_WH[0] / 2 for n in range(2, 12)]
    np.testing.assert_allclose(centres, wanted, atol=2)


def test_a_box_keeps_half_of_its_size_where_keypoints_vanish() -> None:
    """Legs without confident keypoints: the box around the others, padded by 1.15, ends at 132 instead of 162."""
    calls = []

    def legless(feeds: Outputs) -> Outputs:
        outputs = pose_run(feeds)
        if calls:
            outputs["yxs"][..., RING[:, 0] > 0.5 + 1e-6, 2] = 0.05
        calls.append(1)
        return outputs

    pipe, _, _ = pipeline(pose=legless, skip=1000, track=True)
    before, after = (each.poses.boxes[0] for each in run(pipe, walk(100, 0, 3))[1:])
    assert before[3] == pytest.approx(162, abs=2)
    assert after[3] == pytest.approx((before[3] + 100 + 30 / 2 + 30 / 2 * 1.15) / 2, abs=2)
    np.testing.assert_allclose(after[:3], before[:3], atol=2)


@pytest.mark.parametrize("surer", [0, INPUT // 2])
def test_of_two_tracks_that_find_one_person_the_older_stays(surer) -> None:
    """Two people stand apart, then one between them: both boxes, which do not overlap, give the same pose.

    The pose is surer where the person is in the left or in the right half of the crop, so that either track's is kept.
    """

    def sided(feeds: Outputs) -> Outputs:
        outputs = pose_run(feeds)
        for image, pose in zip(feeds["image"], outputs["yxs"], strict=True):
            pose[..., 2] += 0.05 * bool(image[:, surer : surer + INPUT // 2 - 8].max() > 127)
        return outputs

    pipe, _, _ = pipeline(pose=sided, skip=100, track=True)
    apart, one = paint((100, 100), (150, 100), wh=(20, 60)), paint((125, 100), wh=(20, 60))
    results = run(pipe, [apart, one, one, one])
    assert sorted(results[0].poses.ids.tolist()) == [0, 1]
    assert [each.poses.ids.tolist() for each in results[1:]] == [[0]] * 3


def test_a_weak_box_starts_no_track_and_continues_one() -> None:
    """As with ByteTrack: something in an empty scene that a detector is unsure of is nobody."""
    scores = iter([0.35, 0.35, 0.6, 0.35, 0.35])

    def unsure(feeds: Outputs) -> Outputs:
        outputs = detector_run(feeds)
        outputs["dets"][..., 4] = next(scores)
        return outputs

    pipe, _, _ = pipeline(detector=unsure, track=True)
    results = run(pipe, walk(100, 0, 5))
    assert [each.poses.ids.tolist() for each in results] == [[], [], [0], [0], [0]]


@pytest.mark.parametrize("first", ["part", "whole"])
def test_of_two_tracks_of_one_person_the_older_stays(first) -> None:
    """The detector sees a body without its upper third as a person of its own; both tracks then find the same pose."""
    part, whole = [100, 120, 130, 160, 0.9], [100, 100, 130, 160, 0.8]

    def twice(_: Outputs) -> Outputs:
        dets = np.array([[part, whole] if first == "part" else [whole, part]], np.float32)
        return {"dets": dets, "labels": np.zeros((1, 2), np.int64)}

    pipe, _, _ = pipeline(detector=twice, skip=100, track=True)
    ids = [each.poses.ids.tolist() for each in run(pipe, walk(100, 0, 12))]
    assert sorted(ids[0]) == [0, 1]
    assert ids[-1] == [0]


def test_a_lost_person_is_predicted_and_found_again() -> None:
    images = walk(40, 6, 24)
    for hidden in range(12, 17):
        images[hidden] = EMPTY
    pipe, _, _ = pipeline(skip=1000, track=True)
    results = run(pipe, images)
    assert [each.poses.ids.tolist() for each in results] == [[0]] * 12 + [[]] * 5 + [[0]] * 7
    assert results[17].states == ("predicted",)
    assert results[18].states == ("tracked",)


@pytest.mark.parametrize("step", [1, 3])
def test_lost_people_are_kept_by_time(step) -> None:
    """Ten frames at the nominal rate, whether they arrive or are dropped."""
    images = [*walk(100, 0, 12), *[EMPTY] * 40, *walk(100, 0, 2)]
    indices = [*range(12), *range(12, 52, step), 52, 53]
    pipe, pose, _ = pipeline(skip=1000, track=True)
    run(pipe, [images[n] for n in indices], times=[n / FPS for n in indices])
    tried = len(pose.feeds) - 12
    assert tried == len([n for n in indices if 12 <= n <= 21])


def test_errors_come_out_and_the_state_stays() -> None:
    """Peers hide errors, and never track again after one."""
    fail = []

    def failing(feeds: Outputs) -> Outputs:
        if fail:
            raise EngineError("the engine failed")
        return pose_run(feeds)

    pipe, _, _ = pipeline(pose=failing, skip=5, track=True)
    images = walk(100, 2, 6)
    run(pipe, images[:3])
    fail.append(1)
    with pytest.raises(EngineError, match="the engine failed"):
        pipe.step(Frame(images[3], 3, 3 / FPS))
    fail.clear()
    for n in (4, 5):
        assert pipe.step(Frame(images[n], n, n / FPS)).poses.ids.tolist() == [0]


@pytest.mark.parametrize(
    "times", [[0.0] * 14, [1.0 - n / FPS for n in range(14)], [n // 2 / FPS for n in range(14)]]
)
@pytest.mark.parametrize(
    "options", [{"skip": 4, "track": True, "smooth": "one-euro"}, {"skip": "auto"}]
)
def test_times_that_do_not_grow_are_counted(times, options) -> None:
    pipe, _, _ = pipeline(**options)
    with pytest.warns(EdgeposeWarning, match="without a later time stamp") as caught:
        results = run(pipe, walk(100, 2, 14), times=times)
    assert all(len(each.poses) == 1 for each in results)
    assert all(np.isfinite(each.poses.xy).all() for each in results)
    assert len(caught) <= 2  # the 1st, the 10th


def test_frames_that_keep_changing_size_are_counted() -> None:
    """One warning for the first, the tenth, ...: a camera may do so for weeks."""
    pipe, _, _ = pipeline(skip=3, track=True)
    images = [paint((100, 100), side=side) for side in (320, 640) * 15]
    with pytest.warns(EdgeposeWarning) as caught:
        run(pipe, images)
    said = [str(each.message) for each in caught]
    assert len(said) == 2
    assert "frame 1 is 640x640" in said[0]
    assert "frame 10 is 320x320" in said[1]
    assert "the 10th such frame" in said[1]


def test_frames_that_change_size_end_tracks_and_say_so() -> None:
    pipe, _, _ = pipeline(skip=3, track=True)
    run(pipe, walk(100, 0, 2))
    with pytest.warns(EdgeposeWarning, match="frame 2 is 640x640, unlike those before"):
        big = pipe.step(Frame(paint((100, 100), side=640), 2, 2 / FPS))
    assert not len(big.poses)
    found = pipe.step(Frame(paint((100, 100), side=640), 3, 3 / FPS))
    assert found.detected
    assert found.poses.ids.tolist() == [1]  # nobody keeps an id by where he is in another picture


@pytest.mark.parametrize("options", STATEFUL)
def test_sixty_people_and_none(options) -> None:
    crowd = paint(*[(4 + 32 * (n % 10), 2 + 52 * (n // 10)) for n in range(60)], wh=(16, 36))
    pipe, _, _ = pipeline(**options)
    counts = [len(each.poses) for each in run(pipe, [crowd] * 3 + [EMPTY] * 2 + [crowd] * 2)]
    assert counts[:5] == [60, 60, 60, 0, 0]
    assert counts[-1] in {0, 60}


def test_max_people_holds_between_detections() -> None:
    images = [paint((20, 100), (140, 100), (260, 100))] * 6
    pipe, _, _ = pipeline(skip=3, max_people=2)
    assert [len(each.poses) for each in run(pipe, images)] == [2] * 6


def test_a_detector_given_as_pose_is_refused() -> None:
    with pytest.raises(InputError, match="a pipeline needs a pose model"):
        Pipeline(Model(DETECTOR, FakeSession(detector_run)), skip="auto", track=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"skip": "often"}, "skip must be a whole number of at least 1, not 'often'; or \"auto\""),
        ({"track": 1}, "track must be True or False, not 1"),
        ({"smooth": "two-euro"}, "unknown smooth 'two-euro'; known: none, one-euro"),
        ({"embedding": Model(POSE, FakeSession(pose_run))}, "embedding is of task embedding"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, said) -> None:
    with pytest.raises(InputError, match=said):
        pipeline(**options)


def test_without_track_there_are_no_ids() -> None:
    pipe, _, _ = pipeline(skip=3, smooth="one-euro")
    assert [each.poses.ids.tolist() for each in run(pipe, walk(100, 2, 6))] == [[-1]] * 6


def test_the_default_keeps_nothing() -> None:
    """Frames in any order give the poses of each by itself, whatever their times."""
    pipe, _, _ = pipeline()
    images = walk(100, 9, 4)
    alone = [pipeline()[0](image) for image in images]
    results = run(pipe, images[::-1], times=[0.0, 5.0, 5.0, 1.0])
    assert [each.poses for each in results] == alone[::-1]


def test_with_track_a_detected_box_without_a_sure_pose_is_nobody() -> None:
    """The detector reports a box in an empty frame; the pose model is unsure of every keypoint in it."""

    def ghost(feeds: Outputs) -> Outputs:
        dets = np.array([[[40, 40, 80, 120, 0.9]]], np.float32)
        return {"dets": dets, "labels": np.zeros((1, 1), np.int64)}

    frames = [paint()] * 4
    tracked, *_ = pipeline(detector=ghost, track=True)
    assert [(len(result.poses), result.states) for result in run(tracked, frames)] == [(0, ())] * 4
    untracked, *_ = pipeline(detector=ghost)
    assert [len(result.poses) for result in run(untracked, frames)] == [1] * 4
