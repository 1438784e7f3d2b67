"""Milliseconds that drawing takes: 5 people on a 720p frame, keypoint sets of 17 to 308 points.

    python benchmarks/drawing.py docs/measured

CPU time, medians of interleaved rounds. Includes the copy of the frame. Faint: confidences of .3 to .7, so that every
limb is blended. Close: three times the size, so that faces and hands are drawn.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from timing import interleaved_cpu_us

from devices.detect import detect_machine
from edge.media.draw import draw_poses
from edge.schema import KeypointSchema, load_schema
from edge.types import Poses

WH = (1280, 720)
PEOPLE = 5
SETS = ("coco17", "body26", "coco133", "sapiens308")


def crowd(schema: KeypointSchema, score: tuple[float, float], tall_px: float) -> Poses:
    """Return people side by side, each keypoint at random in a body box, faces and hands in an eighth of it."""
    rng = np.random.default_rng(0)
    size = np.array([0.4 * tall_px, tall_px], np.float32)
    xy = rng.random((PEOPLE, len(schema), 2), np.float32)
    xy[:, 26:] = 0.3 + 0.125 * xy[:, 26:]
    xy = xy * size + np.array([[[person * 230, 20]] for person in range(PEOPLE)], np.float32)
    scores = rng.uniform(*score, (PEOPLE, len(schema))).astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    ids = np.arange(PEOPLE, dtype=np.int32)
    return Poses(xy, scores, boxes, np.ones(PEOPLE, np.float32), ids, schema)


def main() -> None:
    """Measure, print and write drawing.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    frame = np.full((WH[1], WH[0], 3), 120, np.uint8)
    steps: dict[str, Callable[[], object]] = {"copy of the frame": frame.copy}
    for name in SETS:
        schema = load_schema(name)
        for kind, score, tall_px in (
            ("sure", (0.8, 1.0), 300),
            ("faint", (0.3, 0.7), 300),
            ("close", (0.8, 1.0), 650),
        ):
            poses = crowd(schema, score, tall_px)
            steps[f"{name}, {kind}"] = functools.partial(draw_poses, frame, poses)
    found = interleaved_cpu_us(steps, rounds=15, calls=5)
    cpu_ms = {name: round(value / 1e3, 2) for name, value in found.items()}
    machine = detect_machine()
    record = {"people": PEOPLE, "frame_wh": WH, "cpu": machine.cpu_model or machine.arch}
    args.out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode({**record, "cpu_ms": cpu_ms}), indent=1)
    (args.out / "drawing.json").write_bytes(text + b"\n")
    print(text.decode())


if __name__ == "__main__":
    main()
