"""Poses of a camera, stream or video as JSON lines on stdout, one object a frame, written as they are computed.

python examples/camera_to_json_lines.py 0 --pose rtmpose-s --detector rtmdet-nano --skip 5 >> poses.jsonl
"""

import argparse
import json

import edge
from edge import Result


def main() -> None:
    """Print one line a frame until the source ends or Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="camera number, stream or video")
    parser.add_argument("--pose", required=True, help="artifact, or its name in the cache")
    parser.add_argument("--detector", default=None)
    parser.add_argument("--skip", type=int, default=1)
    args = parser.parse_args()
    with (
        edge.Pipeline(args.pose, args.detector, skip=args.skip) as pipeline,
        edge.open_source(args.source) as frames,
    ):
        names = pipeline.pose.schema.names
        try:
            for result in pipeline.stream(frames):
                print(json.dumps(record(result, names)), flush=True)
        except KeyboardInterrupt:
            pass


def record(result: Result, names: tuple[str, ...]) -> dict[str, object]:
    """Return one frame's people: {keypoint: [x, y, score]} in pixels, and boxes xyxy."""
    poses = result.poses
    people = [
        {
            "box": box.round(1).tolist(),
            "score": round(float(score), 3),
            "keypoints": {
                name: [round(float(x), 1), round(float(y), 1), round(float(sure), 3)]
                for name, (x, y), sure in zip(names, xy, scores, strict=True)
            },
        }
        for box, score, xy, scores in zip(
            poses.boxes, poses.box_scores, poses.xy, poses.scores, strict=True
        )
    ]
    frame = result.frame
    return {"frame": frame.index, "time_s": round(frame.time_s, 4), "people": people}


if __name__ == "__main__":
    main()
