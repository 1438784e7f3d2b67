"""Milliseconds a frame of tracking, smoothing and pose NMS: 20 people of 133 keypoints on a 720p frame.

    python benchmarks/tracking_speed.py docs/measured

CPU time in frames in which everybody moves, median and 95th percentile. Apart: people side by side in two rows; crowd:
at random places, each overlapping several others. Every other frame lacks one person, whose track is kept.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from devices.detect import detect_machine
from edge.pipeline import TrackOptions
from edge.pipeline.pose_nms import POSE_NMS
from edge.pipeline.tracking import OneEuroSmoother, Tracker
from edge.schema import KeypointSchema, load_schema
from edge.types import Poses
from runtimes.codec_spec import SimCCCodec

WH = (1280, 720)
PEOPLE = 20
FRAMES = 600
WARM = 50
FPS = 30


def places(layout: str, rng: np.random.Generator) -> np.ndarray:
    """Return the top left corners of everybody, (PEOPLE, 2)."""
    if layout == "crowd":
        return rng.uniform((0, 0), (900, 300), (PEOPLE, 2))
    across, down = np.meshgrid(np.arange(10) * 125.0, np.arange(2) * 350.0)
    return np.stack([across.ravel(), down.ravel()], axis=1)


def clip(layout: str, schema: KeypointSchema) -> list[Poses]:
    """Return the poses of each frame; without one person in every other frame."""
    rng = np.random.default_rng(0)
    corners = places(layout, rng)
    shapes = rng.random((PEOPLE, len(schema), 2)) * (100, 300)
    phase = rng.uniform(0, 2 * np.pi, (PEOPLE, 2))
    frames = []
    for index in range(FRAMES):
        corner = corners + 25 * np.sin(index / 20 + phase)
        xy = (shapes + corner[:, None] + rng.normal(0, 1, shapes.shape)).astype(np.float32)
        poses = Poses(
            xy,
            rng.uniform(0.2, 1, xy.shape[:2]).astype(np.float32),
            np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1),
            np.ones(PEOPLE, np.float32),
            np.full(PEOPLE, -1, np.int32),
            schema,
        )
        frames.append(poses if index % 2 else poses[np.arange(PEOPLE) != index % PEOPLE])
    return frames


def measure(layout: str, schema: KeypointSchema) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each step and of all, a frame."""
    options = TrackOptions()
    codec = SimCCCodec(split_ratio=2.0)
    tracker, smoother = Tracker(options, schema), OneEuroSmoother(options)
    rows = []
    for index, poses in enumerate(clip(layout, schema)):
        time_s = index / FPS
        marks = [time.process_time_ns()]
        found = POSE_NMS["oks"](poses, options, codec)
        marks.append(time.process_time_ns())
        tracker.predict(time_s)
        found = replace(found, ids=tracker.update(found, time_s))
        marks.append(time.process_time_ns())
        smoother.smooth(found, time_s)
        marks.append(time.process_time_ns())
        rows.append([*np.diff(marks), marks[-1] - marks[0]])
    table = np.array(rows[WARM:]) / 1e6
    return {
        name: {
            "median_ms": round(float(np.median(column)), 3),
            "p95_ms": round(float(np.percentile(column, 95)), 3),
        }
        for name, column in zip(("pose NMS", "tracking", "smoothing", "all"), table.T, strict=True)
    }


def main() -> None:
    """Measure, print and write tracking_speed.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    schema = load_schema("coco133")
    machine = detect_machine()
    record = {
        "people": PEOPLE,
        "keypoints": len(schema),
        "frames": FRAMES - WARM,
        "cpu": machine.cpu_model or machine.arch,
        "cpu_ms": {layout: measure(layout, schema) for layout in ("apart", "crowd")},
    }
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "tracking_speed.json").write_bytes(text + b"\n")
    print(text.decode())


if __name__ == "__main__":
    main()
