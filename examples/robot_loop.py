"""A robot's loop: keypoints with time stamps, under a latency budget.

    python examples/robot_loop.py 0 --pose rtmpose-s --detector rtmdet-nano --budget-ms 50

On frames without detection people are followed. When the budget is missed, the detector runs less often; when there is
room, more often.
"""

import argparse
import time

import edge
from edge import Frame, Pipeline, Result

MOST_SKIPPED = 30


def main() -> None:
    """Run until the source ends; print a line a frame."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="camera number, stream or clip")
    parser.add_argument("--pose", required=True, help="artifact, or its name in the cache")
    parser.add_argument("--detector", required=True)
    parser.add_argument("--keypoint", default="left_wrist")
    parser.add_argument("--budget-ms", type=float, default=50.0)
    args = parser.parse_args()
    with edge.load(args.pose) as pose, edge.load(args.detector) as detector:
        keypoint = pose.schema.names.index(args.keypoint)
        with edge.open_source(args.source) as frames:
            skip, pipeline = 1, Pipeline(pose, detector)
            for frame in frames:
                result, run_ms = timed_step(pipeline, frame)
                act(result, keypoint, run_ms)
                wanted = skip_for(skip, run_ms, args.budget_ms)
                if wanted != skip:
                    skip, pipeline = wanted, Pipeline(pose, detector, skip=wanted)
            print("\n".join(frames.losses.notes()))


def timed_step(pipeline: Pipeline, frame: Frame) -> tuple[Result, float]:
    """Return the frame's result and the milliseconds that it took."""
    start = time.perf_counter()
    return pipeline.step(frame), (time.perf_counter() - start) * 1e3


def skip_for(skip: int, run_ms: float, budget_ms: float) -> int:
    """Detect less often where the budget was missed, more often where half of it was left."""
    if run_ms > budget_ms:
        return min(2 * skip, MOST_SKIPPED)
    return max(skip - 1, 1) if run_ms < budget_ms / 2 else skip


def act(result: Result, keypoint: int, run_ms: float) -> None:
    """Stand for the robot: print where the keypoint of each person is, and when the frame was taken."""
    xy = result.poses.xy[:, keypoint].round(1).tolist()
    print(f"t={result.frame.time_s:.3f} s  {run_ms:.1f} ms  {xy}")


if __name__ == "__main__":
    main()
