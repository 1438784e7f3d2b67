"""CPU time of the SDK itself per person (cropping, decoding, bookkeeping), and its share of a frame.

    python benchmarks/overhead.py docs/measured

RTMPose-t (random weights: the same work) at 192x256 on drawn 1920x1080 frames, one OpenCV thread. CPU time of
each step, medians of interleaved rounds; the share is that of a frame with one person, RTMDet-nano every 5th frame.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import msgspec
import numpy as np
from timing import interleaved_cpu_us

from edge.codecs import decode
from edge.geometry import make_crops
from edge.image import crop_batch
from edge.model import Model, load
from edge.pipeline import Pipeline, TrackOptions, follow_boxes
from edge.synth import draw_scene
from edge.types import Poses
from export import Target, export_model, load_weights

PEOPLE = (1, 4, 13)
SKIP = 5
RUNTIME = "openvino"


def measure(model: Model, image: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
    """Return the CPU microseconds of each of our steps for these boxes."""
    size = (image.shape[1], image.shape[0])
    spec = model.spec
    crops = make_crops(boxes, size, spec.crop, spec.image.wh)
    batch = crop_batch(image, crops, spec.crop)
    outputs = {name: value.copy() for name, value in model.session.run({"image": batch}).items()}
    items = decode(outputs, spec)
    ones = np.ones(len(boxes), np.float32)
    ids = np.full(len(boxes), -1, np.int32)

    def back() -> Poses:
        xy = np.concatenate(
            [crop.to_frame(item.xy) for crop, item in zip(crops, items, strict=True)]
        )
        scores = np.concatenate([item.scores for item in items])
        return Poses(xy, scores, boxes, ones, ids, model.schema)

    poses = back()
    pipeline = Pipeline(model)
    steps = {
        "crop matrices": lambda: make_crops(boxes, size, spec.crop, spec.image.wh),
        "crop": lambda: crop_batch(image, crops, spec.crop),
        "decode": lambda: decode(outputs, spec),
        "to frame pixels": back,
        "pose NMS": lambda: pipeline.deduplicate(poses),
        "boxes from poses": lambda: follow_boxes(poses, TrackOptions(pose_kpt_thr=0.0)),
    }
    return interleaved_cpu_us(steps, rounds=31, calls=20)


def boxes_for(count: int) -> np.ndarray:
    """Return `count` person-sized boxes spread over a 1920x1080 frame, float32 (N, 4) xyxy."""
    left = np.linspace(40, 1600, count, dtype=np.float32)
    return np.stack([left, np.full(count, 200), left + 260, np.full(count, 900)], axis=1).astype(
        np.float32
    )


def detector_us(detector: Model, image: np.ndarray) -> float:
    """Return the CPU microseconds of the detector's letterbox and decoding (random weights give no candidates)."""
    spec = detector.spec
    height, width = image.shape[:2]
    whole = np.array([[0, 0, width, height]], np.float32)
    crops = make_crops(whole, (width, height), spec.crop, spec.image.wh)
    outputs = detector.session.run({"image": crop_batch(image, crops, spec.crop)})
    steps = {
        "letterbox": lambda: crop_batch(image, crops, spec.crop),
        "decode": lambda: decode(outputs, spec),
    }
    return sum(interleaved_cpu_us(steps, rounds=31, calls=20).values())


def frame_share(
    detector: Model, pose: Model, image: np.ndarray, pose_us: float
) -> dict[str, float]:
    """Return our share of a frame with one person, the detector running every SKIP-th frame."""
    box = boxes_for(1)
    ours_us = pose_us + detector_us(detector, image) / SKIP
    steps = {"detect": lambda: detector.detect(image), "pose": lambda: pose.poses(image, box)}
    cpu_us = interleaved_cpu_us(steps, rounds=61, calls=3)
    frame_ms = (cpu_us["pose"] + cpu_us["detect"] / SKIP) / 1e3
    return {"frame_ms": frame_ms, "ours_ms": ours_us / 1e3, "share": ours_us / 1e3 / frame_ms}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    image = draw_scene(1, wh=(1920, 1080), people=(3, 3)).image
    with tempfile.TemporaryDirectory() as scratch:
        made = [
            export_model(load_weights(name, "random"), [Target(RUNTIME, "fp32")], Path(scratch))[
                0
            ].path
            for name in ("rtmpose-t", "rtmdet-nano")
        ]
        with load(made[0], threads=1) as pose, load(made[1], threads=1) as detector:
            table = {count: measure(pose, image, boxes_for(count)) for count in PEOPLE}
            share = frame_share(detector, pose, image, sum(table[1].values()))
    names = list(table[1])
    lines = [
        "| people | " + " | ".join(names) + " | sum | per person |",
        "|---" * (len(names) + 3) + "|",
    ]
    for count, row in table.items():
        total = sum(row.values())
        cells = " | ".join(f"{row[name]:.0f}" for name in names)
        lines.append(f"| {count} | {cells} | {total:.0f} | {total / count:.0f} |")
    lines.append("")
    lines.append(
        f"Microseconds of CPU time. One person, detector every {SKIP}th frame, {RUNTIME} f32, 1 thread: "
        f"{share['ours_ms']:.2f} ms of {share['frame_ms']:.2f} ms a frame, {share['share']:.0%}."
    )
    text = "\n".join(lines) + "\n"
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "overhead.md").write_text(text)
    record = {"us": {str(count): row for count, row in table.items()}, "frame": share}
    (args.out / "overhead.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    )
    print(text)


if __name__ == "__main__":
    main()
