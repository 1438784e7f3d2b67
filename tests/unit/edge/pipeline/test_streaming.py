"""Streams in threads: the results of the sequential path, errors, early ends, dropped frames, several sources."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scripted import detector_spec, pose_spec

from edge.media.source import Losses, Source
from edge.model import Model
from edge.pipeline import Pipeline, Result
from edge.pipeline.job import Job
from edge.types import Frame
from runtimes.base import Outputs
from runtimes.errors import EngineError, InputError, SourceError
from runtimes.fake import FakeSession

SIDE = 64
POSE = pose_spec(32)
DETECTOR = detector_spec((SIDE, SIDE))
ANGLES = np.linspace(0, 2 * np.pi, 17, endpoint=False)
WAIT_S = 10.0  # for what must happen; only a failing test waits as long


def frames(count: int, step: int = 2, first: int = 0) -> list[Frame]:
    """A bright square of 20 px that moves to the right; empty in frames 8 to 11."""
    drawn = []
    for index in range(count):
        image = np.full((SIDE, SIDE, 3), 10, np.uint8)
        left = (first + step * index) % (SIDE - 20)
        if not 8 <= index < 12:
            image[20:40, left : left + 20] = 200 + index % 50
        drawn.append(Frame(image, index, index / 30))
    return drawn


def find(feeds: Outputs) -> Outputs:
    """The box of the bright pixels."""
    rows, columns = np.nonzero(feeds["image"][0, ..., 0] > 100)
    boxes = (
        [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.9]] if len(rows) else []
    )
    dets = np.array(boxes, np.float32).reshape(1, -1, 5)
    return {"dets": dets, "labels": np.zeros((1, len(boxes)), np.int64)}


def look(feeds: Outputs) -> Outputs:
    """A ring of keypoints about the bright pixels of each crop, as sure as they are bright.

    It fills 0.87 of the crop, so that boxes around it, padded, keep their size.
    """
    poses = []
    for image in feeds["image"][..., 0]:
        bright = np.argwhere(image > 100) if (image > 100).any() else np.array([[16, 16]])
        (y, x), score = bright.mean(axis=0) / 32, image.max() / 255
        ring = [y + 0.435 * np.sin(ANGLES), x + 0.435 * np.cos(ANGLES), np.full(17, score)]
        poses.append(np.stack(ring, axis=1))
    return {"yxs": np.array(poses, np.float32)[:, None]}


def uneven(answer: Callable[[Outputs], Outputs], seed: int) -> Callable[[Outputs], Outputs]:
    """The same answer after 0 to 2 ms, so that stages overtake one another where they can."""
    random = np.random.default_rng(seed)

    def delayed(feeds: Outputs) -> Outputs:
        time.sleep(random.uniform(0, 0.002))
        return answer(feeds)

    return delayed


def pipeline(
    detect: Callable[[Outputs], Outputs] = find,
    pose: Callable[[Outputs], Outputs] = look,
    **options: object,
) -> Pipeline:
    return Pipeline(Model(POSE, FakeSession(pose)), Model(DETECTOR, FakeSession(detect)), **options)


def watched(stream: Iterator[Result], seen: list[Result]) -> None:
    """Collect the results, also those before an error."""
    for result in stream:
        seen.append(result)  # noqa: PERF402 - `extend` keeps nothing where the stream fails


def content(results: list[Result]) -> list[object]:
    return [(one.frame, one.poses, one.states, one.detected) for one in results]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    left = [one.name for one in threading.enumerate() if one.name.startswith("edgepose")]
    assert left == []


OPTIONS = [
    {},
    {"skip": 3},
    {"skip": 4, "track": True},
    {"track": True, "smooth": "one-euro"},
    {"skip": "auto", "track": True, "smooth": "one-euro"},
    {"pose_nms": "none", "max_people": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_threads_give_the_results_of_the_sequential_path(options: dict[str, object]) -> None:
    given = frames(30)
    alone = list(pipeline(**options).stream(given, stages="sequential"))
    threads = pipeline(uneven(find, 1), uneven(look, 2), **options)
    together = list(threads.stream(given))
    assert content(together) == content(alone)
    assert [len(one.poses) for one in alone[:8]] == [1] * 8
    assert len(alone[9].poses) == 0
    for one in together:
        spent = one.timings
        assert min(spent.load_ms, spent.detect_ms, spent.transform_ms, spent.pose_ms) >= 0
        assert spent.latency_ms == pytest.approx(spent.total_ms + spent.wait_ms)
        assert one.queues.dropped == 0


def test_without_a_detector_and_for_pictures_too() -> None:
    given = [frame.image for frame in frames(5)]
    alone = list(Pipeline(Model(POSE, FakeSession(look))).stream(given, stages="sequential"))
    assert content(list(Pipeline(Model(POSE, FakeSession(look))).stream(given))) == content(alone)


def test_detection_runs_ahead_of_the_pose_where_no_frame_needs_the_one_before() -> None:
    ahead = threading.Semaphore(0)

    def detect(feeds: Outputs) -> Outputs:
        ahead.release()
        return find(feeds)

    def pose(feeds: Outputs) -> Outputs:
        assert ahead.acquire(timeout=WAIT_S)  # its own detection
        assert ahead.acquire(timeout=WAIT_S)  # that of the next frame, before this pose is done
        ahead.release()
        return look(feeds)

    pipe = pipeline(detect, pose)
    stream = pipe.stream([*frames(5), *frames(1)])
    assert [len(next(stream).poses) for _ in range(5)] == [1] * 5
    ahead.release()
    assert len(next(stream).poses) == 1
    stream.close()


def test_with_skip_auto_no_frame_begins_before_the_one_before_is_done() -> None:
    log: list[str] = []

    def detect(feeds: Outputs) -> Outputs:
        log.append("detect")
        return find(feeds)

    def pose(feeds: Outputs) -> Outputs:
        time.sleep(0.002)
        log.append("pose")
        return look(feeds)

    pipe = pipeline(detect, pose, skip="auto")
    results = list(pipe.stream(frames(6)))
    expected = []
    for one in results:
        expected += ["detect"] * one.detected + ["pose"]
    assert log == expected


class BadFrameError(Exception):
    pass


@pytest.mark.parametrize("failing", ["load", "detect", "transform", "pose", "post"])
@pytest.mark.parametrize("skip", [1, 3])
def test_an_error_of_a_stage_comes_after_the_results_before_it(failing: str, skip: int) -> None:
    pipe = pipeline(skip=skip)
    if failing != "load":
        stage = pipe._stages[failing]

        def fail(job: Job) -> None:
            if job.frame.index == 5:
                raise BadFrameError(failing)
            stage(job)

        pipe._stages[failing] = fail

    def source() -> Iterator[Frame]:
        for frame in frames(50):
            if failing == "load" and frame.index == 5:
                raise BadFrameError(failing)
            yield frame

    seen: list[Result] = []
    with pytest.raises(BadFrameError, match=failing):
        watched(pipe.stream(source()), seen)
    assert [result.frame.index for result in seen] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("failing", ["detect", "pose"])
def test_an_error_of_an_engine_keeps_its_type(failing: str) -> None:
    sessions = {"detect": find, "pose": look}
    sessions[failing] = [sessions[failing]({"image": np.zeros((1, 32, 32, 3), np.uint8)})]
    stream = pipeline(**sessions, det_thr=0.0).stream(frames(20))
    with pytest.raises(EngineError, match="the script ends before call 2"):
        list(stream)


def test_an_exit_inside_a_source_is_no_error_of_it() -> None:
    def source() -> Iterator[Frame]:
        yield frames(1)[0]
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        list(pipeline().stream_many([source()], on_end=lambda *_: None))


def test_leaving_early_ends_the_threads_and_forgets_the_scene() -> None:
    pipe = pipeline(skip=3)
    for result in pipe.stream(frames(30)):
        if result.frame.index == 4:
            break
    assert pipe.step(frames(1)[0]).detected

    def interrupted() -> None:
        for _ in pipe.stream(frames(30)):
            raise KeyboardInterrupt

    pipe.reset()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    pipe.reset()
    stream = pipe.stream(frames(30))
    next(stream)
    stream.close()


@pytest.mark.parametrize("stages", ["threads", "sequential"])
def test_two_open_streams_never_share_people(stages) -> None:
    pipe = pipeline(track=True)
    first = pipe.stream(frames(6), stages=stages)
    next(first)
    with pytest.raises(InputError, match="another stream"):
        next(pipe.stream(frames(6, first=10), stages=stages))
    assert [result.frame.index for result in first] == [1, 2, 3, 4, 5]
    pipe.reset()
    assert len(list(pipe.stream(frames(3), stages=stages))) == 3  # free again
    alone = pipeline()  # each frame by itself: nothing to share
    streams = [alone.stream(frames(4), stages=stages) for _ in range(2)]
    assert [one.frame.index for pair in zip(*streams, strict=True) for one in pair] == [
        index for index in range(4) for _ in range(2)
    ]


def test_a_slow_consumer_makes_the_source_wait() -> None:
    read: list[int] = []

    def source() -> Iterator[Frame]:
        for frame in frames(100):
            read.append(frame.index)
            yield frame

    stream = pipeline().stream(source())
    next(stream)
    before = -1
    while before != len(read):
        before = len(read)
        time.sleep(0.03)
    # five queues of two, one frame in each of five stages, and the one taken
    assert before <= 16
    assert [result.frame.index for result in stream] == list(range(1, 100))


def test_oldest_frames_are_dropped_and_counted() -> None:
    read_all = threading.Event()

    def source() -> Iterator[Frame]:
        yield from frames(60)
        read_all.set()

    def pose(feeds: Outputs) -> Outputs:
        assert read_all.wait(WAIT_S)
        return look(feeds)

    losses = Losses()
    live = Source(30.0, None, live=True, _frames=source(), _close=lambda: None, losses=losses)
    results = list(pipeline(pose=pose).stream(live))
    assert results[-1].frame.index == 59
    assert len(results) <= 6
    assert results[-1].queues.dropped == losses.dropped == 60 - len(results)

    kept = Source(30.0, None, live=True, _frames=source(), _close=lambda: None, losses=losses)
    assert len(list(pipeline().stream(kept, drop="none"))) == 60


def test_an_iterator_may_write_each_frame_into_the_same_array() -> None:
    def source() -> Iterator[np.ndarray]:
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        for frame in frames(8):
            image[:] = frame.image
            yield image

    results = list(pipeline().stream(source()))
    assert [one.frame.image.max() for one in results] == list(range(200, 208))


def test_a_live_source_that_gives_nothing_is_closed_at_an_early_end() -> None:
    closed = threading.Event()

    def source() -> Iterator[Frame]:
        yield from frames(2)
        assert closed.wait(WAIT_S)

    live = Source(30.0, None, live=True, _frames=source(), _close=closed.set)
    stream = pipeline().stream(live)
    next(stream)
    stream.close()
    assert closed.is_set()


SOURCES = {"left": frames(20), "middle": frames(3, step=3, first=9), "right": frames(12, step=1)}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_each_of_several_sources_has_the_results_it_has_alone(options: dict[str, object]) -> None:
    ended: list[object] = []
    pipe = pipeline(uneven(find, 3), uneven(look, 4), **options)
    stream = pipe.stream_many(SOURCES, on_end=lambda *end: ended.append(end))
    together = list(stream)
    for name, given in SOURCES.items():
        alone = list(pipeline(**options).stream(given))
        assert content([one for one in together if one.source == name]) == content(alone)
    assert sorted(ended) == [("left", None), ("middle", None), ("right", None)]
    numbered = list(pipeline(**options).stream_many(list(SOURCES.values())))
    assert {one.source for one in numbered} == {0, 1, 2}


@pytest.mark.parametrize("skip", [1, 3, "auto"])
def test_of_several_sources_one_frame_is_in_each_model_and_others_in_other_stages(skip) -> None:
    inside = {"detect": threading.Lock(), "pose": threading.Lock()}
    found = threading.Semaphore(0)

    def alone(name: str, answer: Callable[[Outputs], Outputs], feeds: Outputs) -> Outputs:
        assert inside[name].acquire(blocking=False)
        time.sleep(0.001)
        inside[name].release()
        return answer(feeds)

    def detect(feeds: Outputs) -> Outputs:
        found.release()
        return alone("detect", find, feeds)

    waited: list[bool] = []

    def pose(feeds: Outputs) -> Outputs:
        if not waited:  # the first frame of all waits for detection in that of another source
            waited.append(found.acquire(timeout=WAIT_S) and found.acquire(timeout=WAIT_S))
        return alone("pose", look, feeds)

    pipe = pipeline(detect, pose, skip=skip, track=True)
    assert len(list(pipe.stream_many([frames(7)] * 6))) == 42
    assert waited == [True]


def test_sources_take_turns_and_one_that_waits_stops_no_other() -> None:
    others_done = threading.Event()

    def waiting() -> Iterator[Frame]:
        yield from frames(2)
        assert others_done.wait(WAIT_S)
        yield from frames(4)[2:]

    seen = []
    for result in pipeline(skip="auto").stream_many([waiting(), frames(10), frames(10)]):
        seen.append(result.source)
        if seen.count(1) == seen.count(2) == 10:
            others_done.set()
    assert [seen.count(source) for source in (0, 1, 2)] == [4, 10, 10]
    assert seen[-2:] == [0, 0]


def broken(message: str) -> Iterator[Frame]:
    yield from frames(3)
    raise SourceError(message)


def test_a_source_that_fails_ends_alone() -> None:
    ended: dict[object, object] = {}
    stream = pipeline().stream_many(
        {"good": frames(15), "bad": broken("cable")}, on_end=ended.__setitem__
    )
    seen = [result.source for result in stream]
    assert (seen.count("good"), seen.count("bad")) == (15, 3)
    assert ended["good"] is None
    assert str(ended["bad"]) == "cable"

    others: list[Result] = []
    with pytest.raises(SourceError, match=r"^cable$"):
        watched(pipeline().stream_many([broken("cable"), frames(15)]), others)
    sources = [result.source for result in others]
    assert (sources.count(0), sources.count(1)) == (3, 15)
    with pytest.raises(SourceError, match=r"^2 of 3 sources failed: 0: cable; 2: power$"):
        list(pipeline().stream_many([broken("cable"), frames(9), broken("power")]))


def test_what_cannot_be_opened_is_an_error_of_its_source() -> None:
    with pytest.raises(SourceError, match=r"no such file or directory: nothing\.mp4"):
        list(pipeline().stream("nothing.mp4"))
    seen: list[Result] = []
    with pytest.raises(SourceError, match=r"nothing\.mp4"):
        watched(pipeline().stream_many(["nothing.mp4", frames(4)]), seen)
    assert [result.source for result in seen] == [1] * 4


def test_an_error_of_a_stage_ends_all_sources() -> None:
    stream = pipeline(pose=[look({"image": np.zeros((1, 32, 32, 3), np.uint8)})] * 4)
    with pytest.raises(EngineError, match="the script ends"):
        list(stream.stream_many([frames(20), frames(20)]))


def test_wrong_use_is_refused_at_once() -> None:
    pipe = pipeline()
    with pytest.raises(InputError, match="unknown drop 'newest'; known: none, oldest"):
        pipe.stream([], drop="newest")
    with pytest.raises(InputError, match="unknown stages 'process'; known: threads, sequential"):
        pipe.stream([], stages="process")
    with pytest.raises(InputError, match='drop "oldest" needs stages "threads"'):
        pipe.stream([], drop="oldest", stages="sequential")
    with pytest.raises(InputError, match="stream_many takes several sources"):
        pipe.stream_many("clip.mp4")
    with pytest.raises(InputError, match="stream_many got no source"):
        pipe.stream_many([])
    with pytest.raises(InputError, match="not int"):
        list(pipe.stream_many([[1]]))
