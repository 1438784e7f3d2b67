"""Compare two artifacts of one pose model on your own pictures: distance of their keypoints, and milliseconds a frame.

python examples/compare_artifacts.py clip.mp4 artifacts/A artifacts/B --detector rtmdet-nano
"""

import argparse
import time

import numpy as np

import edge


def main() -> None:
    """Run both on the same boxes of every frame, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="picture, folder, video")
    parser.add_argument("artifacts", nargs=2)
    parser.add_argument("--detector", required=True)
    parser.add_argument(
        "--kpt-thr", type=float, default=0.3, help="compare keypoints above, in the first"
    )
    args = parser.parse_args()
    first, second = (edge.load(each) for each in args.artifacts)
    run_ms: tuple[list[float], list[float]] = [], []
    distances = []
    with edge.load(args.detector) as detector, edge.open_source(args.source) as frames:
        for frame in frames:
            boxes = detector.detect(frame.image).boxes
            if not len(boxes):
                continue
            found = []
            for model, times in zip((first, second), run_ms, strict=True):
                start = time.perf_counter()
                found.append(model.poses(frame.image, boxes))
                times.append((time.perf_counter() - start) * 1e3)
            apart = np.linalg.norm(found[0].xy - found[1].xy, axis=2)
            distances += apart[found[0].scores > args.kpt_thr].tolist()
    for model, times in zip((first, second), run_ms, strict=True):
        print(
            f"{model.name}: {np.median(times) if times else float('nan'):.2f} ms a frame with people"
        )
        model.close()
    if not distances:
        print("no confident keypoints; lower --kpt-thr, or give pictures of people")
        return
    middle, high = np.percentile(distances, (50, 95))
    print(
        f"{len(distances)} keypoints: median {middle:.2f}, p95 {high:.2f}, max {max(distances):.2f} px of the frame"
    )


if __name__ == "__main__":
    main()
