"""Skip-frame detection and identity measured against detector calls: drawn people, and real models on real videos.

    python benchmarks/skip_frame.py drawn artifacts docs/measured
    python benchmarks/skip_frame.py real ../shared/real docs/measured
    python benchmarks/skip_frame.py page . docs/measured

Drawn: clips of 1, 3 and 8 people who cross, leave and come back (`edge.synth.draw_visits`), with the shipped drawn
detector and pose student, with true boxes for the detector's ("true boxes"), and with both true ("true poses": the
tracking alone loses). Real: RTMDet-nano and PP-TinyPose against their own result of every frame. Needs TrackEval
(`pip install edgepose[benchmark]`). Writes skip_frame.json; page writes
skip_frame.md and the curves, skip_frame.png, from it.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from skip_frame_models import Prepared, Remembering, TruePoses, as_boxes, real_models
from skip_frame_page import write_page
from track_metrics import Moment, tracking_figures

from edge.evaluation.average_precision import evaluate_keypoints
from edge.evaluation.coco import PERSON, Annotation, Category, CocoImage, GroundTruth
from edge.geometry import keypoint_boxes
from edge.media.sources import open_source
from edge.model import Model, load
from edge.pipeline import Pipeline, Result
from edge.schema import load_schema
from edge.synth import DrawnPerson, draw_visits
from edge.types import F32, Detections, Frame, Poses

ALONE = "1, no tracking"
SKIPS: tuple[int | str, ...] = (ALONE, 1, 2, 5, 10, 20, "auto")
SEEDS = {1: (10, 11), 3: (10, 11), 8: (10,)}
"""Clips by number of people; the options were chosen on other ones, seeds 0 and 1 with 1 and 3 people."""
WH, FRAMES, FPS = (640, 480), 400, 20.0
VIDEOS = ("demo_skeleton.mp4", "asl_walk.mkv", "one-by-one-person-detection.mp4")
KPT_THR, DET_THR = 0.3, 0.3
FEWEST_LABELLED = 5
"""True people with fewer visible keypoints (slivers at the frame's edge) are neither wanted nor wrong."""
# Frames of one-by-one-person-detection.mp4 in which nobody is to be seen, by looking at them: first and last.
EMPTY_STRETCHES = (
    (0, 58),
    (200, 225),
    (452, 499),
    (703, 741),
    (874, 919),
    (1204, 1231),
    (1364, 1393),
)
AREA_SHARE = 0.53
"""Of a person's box, as CrowdPose and AIC have it."""


@dataclass
class Record:
    """What one configuration gave on some clips: COCO results, moments a clip, and counts."""

    results: list[dict[str, Any]] = field(default_factory=list)
    moments: list[list[Moment]] = field(default_factory=list)
    frames: int = 0
    detections: int = 0
    empty_frames: int = 0
    ghosts: int = 0

    def add(
        self, result: Result, image_id: int, people: Sequence[DrawnPerson], visits: dict[int, int]
    ) -> None:
        """Count one frame of the clip begun last; visits: the number of the visit of each person_id."""
        self.frames += 1
        self.detections += result.detected
        self.results += result.poses.to_coco(image_id)
        if not people:
            self.empty_frames += 1
            self.ghosts += len(result.poses)
        self.moments[-1].append(_moment(result.poses, people, visits))


def _pipeline(pose: Model, detector: Model, skip: int | str) -> Pipeline:
    if skip == ALONE:
        return Pipeline(pose, detector)
    return Pipeline(pose, detector, skip=skip, track=True)


def _moment(poses: Poses, people: Sequence[DrawnPerson], visits: dict[int, int]) -> Moment:
    wanted = [person for person in people if _wanted(person)]
    hidden = [person for person in people if not _wanted(person)]
    confident = poses.scores >= KPT_THR
    some = confident.sum(axis=1) >= 2
    return Moment(
        truth_ids=tuple(person.person_id for person in wanted),
        visit_ids=tuple(person.person_id + 1000 * visits[person.person_id] for person in wanted),
        truth_boxes=_extents(wanted),
        ignored=as_boxes([person.box for person in hidden]),
        found_ids=tuple(poses.ids[some].tolist()),
        found_boxes=keypoint_boxes(poses.xy, confident)[some].astype(np.float32),
    )


def _extents(people: Sequence[DrawnPerson]) -> F32:
    if not people:
        return np.zeros((0, 4), np.float32)
    keypoints = np.stack([person.keypoints for person in people])
    return keypoint_boxes(keypoints[..., :2], keypoints[..., 2] > 0).astype(np.float32)


def drawn(artifacts: Path, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield one row for each choice of models, number of people and skip."""
    detector = load(next(artifacts.glob("rtmdet-nano-drawn*openvino-fp32")), threads=1)
    finder = detector.with_threshold(DET_THR)
    pose = Remembering(load(next(artifacts.glob("rtmpose-t-drawn*openvino-fp32")), threads=1))
    found, true_boxes = Prepared(detector), Prepared(detector)
    true_poses = TruePoses(pose.spec, pose.session, pose.name)
    models = {
        "shipped models": (pose, found),
        "true boxes": (pose, true_boxes),
        "true poses": (true_poses, true_boxes),
    }
    records: dict[tuple[str, int, int | str], Record] = defaultdict(Record)
    truths: dict[int, list[tuple[int, Sequence[DrawnPerson]]]] = defaultdict(list)
    image_id = 0
    for people in counts:
        for seed in SEEDS[people]:
            pipelines = {
                (name, skip): _pipeline(model, boxes, skip)
                for name, (model, boxes) in models.items()
                for skip in SKIPS
            }
            for name, skip in pipelines:
                records[name, people, skip].moments.append([])
            visits, last_seen = dict.fromkeys(range(people), 0), dict.fromkeys(range(people), 0)
            for index, scene in enumerate(draw_visits(seed, WH, FRAMES, FPS, people)):
                image_id += 1
                truths[people].append((image_id, scene.people))
                for person in scene.people:
                    visits[person.person_id] += index - last_seen[person.person_id] > FPS
                    last_seen[person.person_id] = index
                pose.forget()
                found.found = finder.detect(scene.image)
                true_boxes.found = _true_boxes(scene.people)
                true_poses.people = scene.people
                frame = Frame(scene.image, index, index / FPS)
                for (name, skip), pipeline in pipelines.items():
                    result = pipeline.step(frame)
                    records[name, people, skip].add(result, image_id, scene.people, visits)
    for (name, people, skip), record in records.items():
        row = {"models": name, "people": people, "seeds": SEEDS[people], "skip": skip}
        yield row | _figures(record, truths[people])


def _true_boxes(people: Sequence[DrawnPerson]) -> Detections:
    boxes = as_boxes([person.box for person in people if _wanted(person)])
    return Detections(boxes, np.full(len(boxes), 0.9, np.float32), np.zeros(len(boxes), np.int32))


def _figures(record: Record, truth: Sequence[tuple[int, Sequence[DrawnPerson]]]) -> dict[str, Any]:
    annotations = [
        _annotation(person.keypoints, image_id, person.area, ignore=not _wanted(person))
        for image_id, people in truth
        for person in people
    ]
    summary = evaluate_keypoints(
        _ground_truth([image_id for image_id, _ in truth], annotations),
        record.results,
        load_schema("coco17").sigmas,
    )
    moments = record.moments
    ids = any(moment.found_ids and max(moment.found_ids) >= 0 for s in moments for moment in s)
    tracking = tracking_figures(moments) if ids else {}
    return {
        "frames": record.frames,
        "detector_calls": record.detections / record.frames,
        "AP": summary.AP,
        "AP50": summary.AP50,
        "AR": summary.AR,
        **tracking,
        "ghosts_per_100_empty_frames": 100 * record.ghosts / max(1, record.empty_frames),
    }


def _wanted(person: DrawnPerson) -> bool:
    return int((person.keypoints[:, 2] == 2).sum()) >= FEWEST_LABELLED


def _annotation(keypoints: F32, image_id: int, area: float, *, ignore: bool = False) -> Annotation:
    """Return a person with keypoints float32 (17, 3); ids are given by `_ground_truth`."""
    labelled = keypoints[:, 2] > 0
    x0, y0, x1, y1 = keypoint_boxes(keypoints[None, :, :2], labelled[None])[0].tolist()
    return Annotation(
        id=0,
        image_id=image_id,
        category_id=PERSON,
        bbox=(x0, y0, x1 - x0, y1 - y0) if labelled.any() else (0.0, 0.0, 0.0, 0.0),
        area=area,
        keypoints=tuple(keypoints.ravel().tolist()),
        num_keypoints=int(labelled.sum()),
        ignore=ignore,
    )


def _ground_truth(image_ids: Sequence[int], annotations: Sequence[Annotation]) -> GroundTruth:
    return GroundTruth(
        images=tuple(CocoImage(id=number, file_name=str(number)) for number in image_ids),
        annotations=tuple(
            msgspec.structs.replace(each, id=number) for number, each in enumerate(annotations, 1)
        ),
        categories=(Category(id=PERSON, name="person", keypoints=load_schema("coco17").names),),
    )


def real(root: Path) -> Iterator[dict[str, Any]]:
    """Yield one row for each video and skip: against the people of the same models, every frame by itself."""
    with tempfile.TemporaryDirectory() as scratch:
        detector, estimator = real_models(root / "models", Path(scratch))
        pose = Remembering(estimator)
        finder, found = detector.with_threshold(DET_THR), Prepared(detector)
        for name in VIDEOS:
            pipelines = {skip: _pipeline(pose, found, skip) for skip in SKIPS}
            steps: dict[int | str, list[Step]] = {skip: [] for skip in SKIPS}
            with open_source(str(root / "videos" / name)) as source:
                for frame in source:
                    pose.forget()
                    found.found = finder.detect(frame.image)
                    for skip, pipeline in pipelines.items():
                        result = pipeline.step(frame)
                        steps[skip].append(Step(result.detected, result.poses))
            for skip in SKIPS:
                row = {"video": name, "skip": skip, **_against(steps[ALONE], steps[skip])}
                if name == VIDEOS[-1]:
                    row |= _crossings(steps[skip])
                yield row


@dataclass(frozen=True, slots=True)
class Step:
    """One frame's result without its pixels."""

    detected: bool
    poses: Poses


def _against(reference: Sequence[Step], steps: Sequence[Step]) -> dict[str, Any]:
    """Return the figures of a result against the reference's people; its unsure keypoints are not labelled."""
    annotations, results = [], []
    for number, (step, own) in enumerate(zip(reference, steps, strict=True), 1):
        for xy, scores, box in zip(step.poses.xy, step.poses.scores, step.poses.boxes, strict=True):
            labelled = (scores >= KPT_THR)[:, None]
            keypoints = np.concatenate([xy, np.full((len(xy), 1), 2)], axis=1) * labelled
            area = AREA_SHARE * float((box[2] - box[0]) * (box[3] - box[1]))
            annotations.append(_annotation(keypoints.astype(np.float32), number, area))
        results += own.poses.to_coco(number)
    truth = _ground_truth(range(1, len(reference) + 1), annotations)
    summary = evaluate_keypoints(truth, results, load_schema("coco17").sigmas)
    return {
        "frames": len(steps),
        "detector_calls": sum(step.detected for step in steps) / len(steps),
        "AP": summary.AP,
        "AP50": summary.AP50,
        "AR": summary.AR,
    }


def _crossings(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the poses in the empty stretches, and the ids of each crossing between them."""
    empty = [range(first, last + 1) for first, last in EMPTY_STRETCHES]
    ghosts = [index for stretch in empty for index in stretch if len(steps[index].poses)]
    crossings = [range(a[-1] + 1, b[0]) for a, b in pairwise(empty)]
    ids = [
        sorted({n for index in crossing for n in steps[index].poses.ids.tolist() if n >= 0})
        for crossing in crossings
    ]
    return {
        "empty_frames": sum(map(len, empty)),
        "empty_frames_with_poses": ghosts,
        "ids_of_crossings": ids,
    }


def main() -> None:
    """Measure one part, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("drawn", "real", "page"))
    parser.add_argument("given", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, nargs="+", choices=SEEDS, default=[*SEEDS])
    args = parser.parse_args()
    if args.part == "page":
        write_page(args.out)
        return
    target = args.out / "skip_frame.json"
    record = msgspec.json.decode(target.read_bytes()) if target.exists() else {}
    if args.part == "drawn":
        others = [row for row in record.get("drawn", []) if row["people"] not in args.people]
        rows = [*others, *drawn(args.given, args.people)]
        record["drawn"] = sorted(rows, key=lambda row: row["people"])
    else:
        record["real"] = list(real(args.given))
    args.out.mkdir(parents=True, exist_ok=True)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


if __name__ == "__main__":
    main()
