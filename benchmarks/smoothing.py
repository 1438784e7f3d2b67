"""Jitter and lag of One-Euro smoothing on real clips: still joints and fast ones.

    python benchmarks/smoothing.py POSE DETECTOR docs/measured VIDEO...

POSE and DETECTOR are artifacts, run on every frame; the person seen longest counts. A joint's true path is taken to be
the raw one after a running median of 5 frames and a running mean of 5, which has no lag. Jitter: standard deviation of
the second difference of joints that move less than 1 % of the person's size a frame, raw and smoothed. Lag: frames by
which the smoothed path is behind the true one, by least squares, of the fastest tenth. Distances are shares of the
person's size.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edge.media.sources import open_source
from edge.pipeline import Pipeline, TrackOptions
from edge.pipeline.tracking import OneEuroSmoother, Tracker

F64 = NDArray[np.float64]
REACH = 2  # frames on either side that the true path is taken from
STILL = 0.01  # of the person's size a frame
# (beta, fc_min, fc_derivative): the first are TrackOptions' own
SETTINGS = (
    TrackOptions().smooth_params,
    (0.007, 1.0, 1.0),  # mmdeploy's
    (0.02, 1.0, 1.0),
    (0.05, 1.0, 1.0),
    (0.05, 1.5, 2.0),
    (0.1, 1.0, 1.0),
    (0.1, 1.5, 2.0),
    (0.2, 1.5, 2.0),
)


@dataclass(frozen=True, slots=True)
class Path2D:
    """One person over T frames: raw and smoothed keypoints (T, K, 2) and confidence (T, K); size in pixels."""

    raw: F64
    smooth: F64
    confident: NDArray[np.bool_]
    size: float


def estimate(pose: str, detector: str, video: str) -> list[tuple[float, object]]:
    """Return the time and the tracked people of each frame."""
    found = []
    with Pipeline(pose, detector) as pipeline, open_source(video) as source:
        tracker = Tracker(TrackOptions(), pipeline.pose.schema)
        for frame in source:
            poses = pipeline(frame.image)
            ids = tracker.update(poses, frame.time_s)
            found.append((frame.time_s, replace(poses, ids=ids)))
    return found


def paths(frames: list, params: tuple[float, float, float]) -> Path2D:
    """Smooth everybody and return the person seen longest."""
    options = TrackOptions(smooth_params=params)
    smoother = OneEuroSmoother(options)
    numbers = np.concatenate([poses.ids for _, poses in frames])
    person = int(np.bincount(numbers[numbers >= 0]).argmax())
    raw, smooth, confident, sizes = [], [], [], []
    for time_s, poses in frames:
        after = smoother.smooth(poses, time_s)
        rows = np.flatnonzero(poses.ids == person)
        if not len(rows):
            continue
        row = int(rows[0])
        raw.append(poses.xy[row])
        smooth.append(after.xy[row])
        confident.append(poses.scores[row] >= options.pose_kpt_thr)
        sizes.append(np.sqrt((poses.boxes[row, 2:] - poses.boxes[row, :2]).prod()))
    return Path2D(
        np.array(raw, np.float64),
        np.array(smooth, np.float64),
        np.array(confident),
        float(np.median(sizes)),
    )


def true_path(raw: F64) -> F64:
    """Return the running mean of the running median of paths (T, K, 2): (T - 4 REACH, K, 2)."""
    width = 2 * REACH + 1
    middle = np.median(sliding_window_view(raw, width, axis=0), axis=-1)
    return sliding_window_view(middle, width, axis=0).mean(axis=-1)


def figures(path: Path2D) -> dict[str, float]:
    """Return jitter, raw and smoothed, and lag."""
    edge = 2 * REACH
    true = true_path(path.raw) / path.size
    raw, smooth = path.raw[edge:-edge] / path.size, path.smooth[edge:-edge] / path.size
    confident = path.confident[edge:-edge]
    whole = confident[:-2] & confident[1:-1] & confident[2:]
    velocity = (true[2:] - true[:-2]) / 2
    speed = np.linalg.norm(velocity, axis=2)
    still = whole & (speed < STILL)
    jitter = [np.diff(each, 2, axis=0)[still].std() for each in (raw, smooth)]
    fast = whole & (speed >= np.quantile(speed[whole], 0.9))
    behind = (true - smooth)[1:-1][fast]
    lag = (behind * velocity[fast]).sum() / np.square(velocity[fast]).sum()
    return {
        "still_points": int(still.sum()),
        "jitter_raw": round(float(jitter[0]), 5),
        "jitter_smooth": round(float(jitter[1]), 5),
        "ratio": round(float(jitter[1] / jitter[0]), 3),
        "lag_frames": round(float(lag), 2),
        "fast_speed": round(float(speed[fast].mean()), 4),
    }


def main() -> None:
    """Measure, print and write smoothing.json and smoothing.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pose")
    parser.add_argument("detector")
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", nargs="+")
    args = parser.parse_args()
    record: dict[str, dict[str, dict[str, float]]] = {}
    lines = [
        "| clip | beta, fc_min, fc_derivative | jitter, smoothed / raw | lag, frames |",
        "|---|---|---|---|",
    ]
    for video in args.videos:
        frames = estimate(args.pose, args.detector, video)
        name = Path(video).name
        record[name] = {}
        for params in dict.fromkeys(SETTINGS):
            row = figures(paths(frames, params))
            setting = ", ".join(f"{value:g}" for value in params)
            record[name][setting] = row
            lines.append(f"| {name} | {setting} | {row['ratio']} | {row['lag_frames']} |")
    args.out.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(record), indent=1)
    (args.out / "smoothing.json").write_bytes(text + b"\n")
    (args.out / "smoothing.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
