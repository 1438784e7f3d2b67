"""Frames to poses, top-down or bottom-up.

Top-down: detect on every `skip`-th frame, take boxes from the last poses in between, one batch of crops a frame.
Bottom-up: one network run a frame, however many people are in it.

Names and defaults follow mmdeploy's pose tracker. The state between frames is a Scene.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from edge.codecs.people import person_labels, with_labels
from edge.geometry import whole_frame
from edge.image import as_image
from edge.media.frames import Frames, frames_of
from edge.media.video import DEFAULT_FPS
from edge.model import ImageLike, Model, load
from edge.pipeline.boxes import usable
from edge.pipeline.job import Job, Stage, StageName
from edge.pipeline.options import SceneOptions, Skip, Smooth, TrackOptions
from edge.pipeline.pose_nms import DET_THRS, POSE_NMS, PoseNMS
from edge.pipeline.result import Result
from edge.pipeline.scene import Scene
from edge.pipeline.streaming import Drop, Feed, OnEnd, feeds_of, stream_results
from edge.pipeline.tracking import appearance
from edge.types import U8, Detections, Frame, Poses
from edge.types.options import check_count, check_threshold
from runtimes.errors import InputError

Stages = Literal["threads", "sequential"]


class Pipeline:
    """Frames in, poses out. One caller thread at a time; a context manager that closes its models.

    pose: a Model, an artifact directory or a name in the cache. detector: the same, or None for the whole frame as the
    one box (single person); bottom-up pose models take none. det_thr: box score threshold, None for 0.3, or 0.1 with
    parametric pose NMS; max_people: the best scoring boxes kept, None for all. det_classes: the detector's classes that
    are people, by default the one called person, or its only one.

    skip: detect on frames 0, skip, 2 * skip, ..., or "auto": where the frames give reason to, and at least every
    `tracking.det_interval` frames. track: people keep their ids. smooth: "one-euro" filters keypoints over time.
    embedding: a model of task embedding, or None, that tells people apart by their looks (with `track`). With skip 1,
    no track and no smoothing each frame is by itself.

    pose_nms, where one person has several poses: "oks" keeps the best; "soft-oks" ranks poses by scores lowered for
    resembling a better one, and keeps 20; "parametric" merges them (AlphaPose's code),
    "parametric-paper" keeps the most confident by its paper's equations; "none" keeps all. The first two
    leave keypoint sets without sigmas unchanged.
    """

    def __init__(  # noqa: PLR0913  # one option each; all but two by name
        self,
        pose: Model | str | Path,
        detector: Model | str | Path | None = None,
        *,
        skip: Skip = 1,
        track: bool = False,
        smooth: Smooth = "none",
        det_thr: float | None = None,
        max_people: int | None = None,
        tracking: TrackOptions | None = None,
        embedding: Model | str | Path | None = None,
        pose_nms: PoseNMS = "oks",
        det_classes: Sequence[str] = (),
    ) -> None:
        if pose_nms not in POSE_NMS:
            raise InputError(f"unknown pose_nms {pose_nms!r}; known: {', '.join(POSE_NMS)}")
        if max_people is not None:
            check_count("max_people", max_people)
        options = SceneOptions(
            skip, track, smooth, detector is None, (tracking or TrackOptions()).limited(max_people)
        )
        if det_thr is not None:
            check_threshold("det_thr", det_thr)
        self.pose = _opened(pose)
        found = None if detector is None else _opened(detector)
        self.embedding = None if embedding is None else _opened(embedding)
        threshold = DET_THRS[pose_nms] if det_thr is None else det_thr
        self.detector = found.with_threshold(threshold) if found else None
        if not self.pose.spec.gives_keypoints:
            raise InputError(_no_poses(self.pose))
        self._bottom_up = self.pose.spec.is_bottom_up
        if self._bottom_up and self.detector is not None:
            raise InputError(
                f"{self.pose.name} is bottom-up and finds all people in the frame; leave out the detector"
            )
        if self.detector is not None and not self.detector.spec.is_detector:
            raise InputError(
                f"{self.detector.name}: task {self.detector.spec.task}; a pipeline's detector finds boxes"
            )
        if self.embedding is not None and not self.embedding.spec.is_embedding:
            raise InputError(
                f"{self.embedding.name}: task {self.embedding.spec.task}; a pipeline's embedding is of task embedding"
            )
        self._person_labels = (
            person_labels(self.detector.spec, det_classes) if self.detector else None
        )
        self._options = options
        self._max_people = max_people
        self._pose_nms = POSE_NMS[pose_nms]
        self._stages: dict[StageName, Stage] = {
            "detect": self._detect,
            "transform": self._transform,
            "pose": self._estimate,
            "post": self._finish,
        }
        self._streamed: Scene | None = None
        self.reset()

    def reset(self) -> None:
        """Forget the last poses; the detector runs on the next frame."""
        self._scene = self.new_scene()
        self._count = 0

    def __repr__(self) -> str:
        detector = self.detector.name if self.detector else None
        return f"Pipeline(pose={self.pose.name}, detector={detector}, skip={self._options.skip})"

    def __call__(self, image: ImageLike) -> Poses:
        """Return the poses in the next frame: uint8 BGR (H, W, 3), grey (H, W), a path, or a PIL image.

        Frames given like this count as 30 a second.
        """
        return self.step(Frame(as_image(image), self._count, self._count / DEFAULT_FPS)).poses

    def stream(
        self, frames: Frames, *, drop: Drop | None = None, stages: Stages = "threads"
    ) -> Iterator[Result]:
        """Yield one Result a frame, in order.

        frames: a video, image, folder, glob, URL or "synth"; a camera (0, "/dev/video0"); or a sequence of frames,
        image paths, PIL images or arrays uint8, BGR (H, W, 3) or grey (H, W). What is named here is opened and closed
        here, and is a new scene; a sequence continues the last one (`reset` forgets it), and only one at a time may,
        unless each frame is by itself. `edge.open_source` gives a source that says how many frames were lost. Raises
        SourceError where it gives no frame, and the error of any stage after the results before it.

        drop: "none" gives every frame; "oldest" the newest one, and counts those that it replaced in
        `Result.queues.dropped`; None means "oldest" of live sources. stages: "threads" reads frames ahead and runs side
        by side the stages that need not wait for one another, "sequential" all in the caller's thread, a frame at a
        time; results are the same.
        Stop early by leaving the loop: the threads end, a live source is closed, and the scene is forgotten.
        """
        if stages not in get_args(Stages):
            raise InputError(f"unknown stages {stages!r}; known: {', '.join(get_args(Stages))}")
        if stages == "threads":
            feed = Feed(frames, self._scene, drop=drop)  # raises for an unknown drop
            return self._stream_threads(feed)
        if drop == "oldest":
            raise InputError('drop "oldest" needs stages "threads"; leave one of them out')
        return self._stream_sequential(frames)

    def stream_many(
        self,
        sources: Sequence[Frames] | Mapping[str, Frames],
        *,
        drop: Drop | None = None,
        on_end: OnEnd | None = None,
    ) -> Iterator[Result]:
        """Yield the results of several sources at once, which take turns; each has people and ids of its own.

        sources: each what `stream` takes. `Result.source` is the number of the source, or its name in a mapping, and
        the results of one source are those of `stream` on it alone. drop: as in `stream`, for each.
        on_end(source, error) is called at the end of each source, error None where it simply ended. A source that fails
        ends alone: without `on_end` its error is raised once the others have ended. An error of a stage ends all.
        """
        return stream_results(self._stages, feeds_of(sources, self.new_scene, drop), on_end)

    def _stream_threads(self, feed: Feed) -> Iterator[Result]:
        if isinstance(feed.frames, (str, Path, int)):
            self.reset()
        whole = False
        with self._own_scene() as scene:
            try:
                for result in stream_results(self._stages, [replace(feed, scene=scene)]):
                    self._count += 1
                    yield result
                whole = True
            finally:
                if not whole and scene is self._scene:  # it has seen frames that were read ahead
                    self.reset()

    def _stream_sequential(self, frames: Frames) -> Iterator[Result]:
        if isinstance(frames, (str, Path, int)):
            self.reset()
        given = frames_of(frames)
        with self._own_scene() as scene:
            while True:
                start = time.perf_counter()
                frame = next(given, None)
                if frame is None:
                    return
                load_ms = (time.perf_counter() - start) * 1e3
                self._count += 1
                yield self._run(Job(frame, scene, load_ms=load_ms))

    @contextmanager
    def _own_scene(self) -> Iterator[Scene]:
        """Give the scene to one stream at a time: frames of two would mix their people."""
        scene = self._scene
        if scene is self._streamed and not scene.independent:
            raise InputError(
                "another stream of this pipeline is open; close it first, or call stream_many for several sources"
            )
        self._streamed = scene
        try:
            yield scene
        finally:
            if self._streamed is scene:
                self._streamed = None

    def new_scene(self) -> Scene:
        """Return the state for one source."""
        return Scene(self.pose.schema, self._options)

    def step(self, frame: Frame) -> Result:
        """Run on the next frame."""
        self._count += 1
        return self.step_in(self._scene, frame)

    def step_in(self, scene: Scene, frame: Frame) -> Result:
        """Run on the next frame of the source that the scene is of."""
        return self._run(Job(frame, scene))

    def _run(self, job: Job) -> Result:
        for name, stage in self._stages.items():
            job.run(name, stage)
        return job.result()

    def _detect(self, job: Job) -> None:
        wanted = job.scene.wants_detection(job.frame)
        job.detected = wanted and self.detector is not None
        if not self._bottom_up and (job.detected or self.detector is None):
            job.found = self._find(job.frame.image)

    def _transform(self, job: Job) -> None:
        if self._bottom_up:
            job.inputs = self.pose.pose_inputs(job.frame.image)
            return
        candidates = job.scene.candidates(job.frame, job.found)
        job.candidates = candidates
        job.inputs = self.pose.pose_inputs(job.frame.image, candidates.boxes, candidates.scores)

    def _estimate(self, job: Job) -> None:
        poses = self.pose.estimate(job.inputs)
        if self._bottom_up:
            job.poses = self._most(poses)
        else:  # the row of its candidate, until the scene gives ids
            job.poses = replace(poses, ids=np.arange(len(poses), dtype=np.int32))

    def _finish(self, job: Job) -> None:
        poses = self.deduplicate(job.poses)
        looks = None
        if self.embedding is not None and self._options.track:
            looks = appearance(self.embedding, job.frame.image, poses, self._options.tracking)
        duplicates = None
        if len(poses) < len(job.poses):
            duplicates = job.poses[~np.isin(job.poses.ids, poses.ids)]
        job.poses, job.states = job.scene.finish(
            job.frame, poses, job.candidates, looks, duplicates
        )

    def _find(self, image: U8) -> Detections:
        """Return the detector's people, best first; without a detector the whole frame is one."""
        if self.detector is None:
            height, width = image.shape[:2]
            return Detections(
                whole_frame((width, height)), np.ones(1, np.float32), np.zeros(1, np.int32)
            )
        found = usable(with_labels(self.detector.detect(image), self._person_labels), image)
        return found if self._max_people is None else found[: self._max_people]

    def _most(self, poses: Poses) -> Poses:
        """Return the best scoring people, at most `max_people`, in their order."""
        best = np.argsort(-poses.instance_scores(), kind="stable")
        return poses[np.sort(best[: self._max_people])]

    def deduplicate(self, poses: Poses) -> Poses:
        """Return one pose a person, by `pose_nms`; people keep their order."""
        if self._bottom_up:  # each keypoint is of one person only: no duplicates
            return poses
        return self._pose_nms(poses, self._options.tracking, self.pose.spec.codec)

    def close(self) -> None:
        """Close the models."""
        for model in (self.pose, self.detector, self.embedding):
            if model is not None:
                model.close()

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _opened(model: Model | str | Path) -> Model:
    return model if isinstance(model, Model) else load(model)


def _no_poses(model: Model) -> str:
    """Return why the model cannot be a pipeline's pose model, and what to do instead."""
    task = model.spec.task
    if model.spec.is_dense:
        return f"{model.name}: gives a map (task {task}), no poses; call edge.load(ARTIFACT)(frame)"
    return f"{model.name}: task {task}; a pipeline needs a pose model, top-down or bottom-up"
