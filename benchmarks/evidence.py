"""Time of the evidence for skip "auto" on each 720p frame, without detector and pose model.

    python benchmarks/evidence.py docs/measured

A drawn clip of three people in 1280x720, one OpenCV thread; medians and 95th percentiles in microseconds of the picture
that is compared, and of all evidence of a frame. At most 300 are wanted.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from edge.pipeline import TrackOptions
from edge.pipeline.evidence import Evidence, reduced
from edge.schema import load_schema
from edge.synth import draw_clip
from edge.types import F32, Frame, Poses

FRAMES, FPS, PEOPLE, SEED, ROUNDS = 48, 24, 3, 1000, 8
WH = (1280, 720)


def poses_of(boxes: F32) -> Poses:
    """Return people in these boxes; their keypoints do not count here."""
    schema = load_schema("coco17")
    count = len(boxes)
    scores = np.full((count, 17), 0.8, np.float32)
    ids = np.arange(count, dtype=np.int32)
    return Poses(np.zeros((count, 17, 2), np.float32), scores, boxes, scores[:, 0], ids, schema)


def main() -> None:
    """Measure, and write evidence.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    cv2.setNumThreads(1)
    drawn = list(draw_clip(SEED, WH, FRAMES, FPS, PEOPLE))
    boxes = [
        np.array([person.box for person in scene.people], np.float32).reshape(-1, 4)
        for scene in drawn
    ]
    pictures, totals = [], []
    for _ in range(ROUNDS):
        evidence = Evidence(TrackOptions())
        for index, (scene, there) in enumerate(zip(drawn, boxes, strict=True)):
            frame, people = Frame(scene.image, index, index / FPS), poses_of(there)
            start = time.perf_counter()
            reduced(frame.image)
            middle = time.perf_counter()
            evidence.wants(frame)
            evidence.settle(people, there, lost=False, new=False)
            pictures.append(middle - start)
            totals.append(time.perf_counter() - middle)
    rows = [
        f"| {name} | {np.median(times) * 1e6:.0f} | {np.percentile(times, 95) * 1e6:.0f} |"
        for name, times in (("reduced picture", pictures), ("all evidence", totals))
    ]
    text = "\n".join(["| step | p50, us | p95, us |", "|---|---|---|", *rows])
    print(text)
    title = f"Evidence of a {WH[0]}x{WH[1]} frame with {PEOPLE} people"
    (out / "evidence.md").write_text(f"# {title}\n\n{text}\n")


if __name__ == "__main__":
    main()
