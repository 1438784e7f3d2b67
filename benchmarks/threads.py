"""Answers of one Model that eight threads call at once, on every runtime: 10,000 each, counted right or wrong.

    edgepose demo && python benchmarks/threads.py demo/artifacts docs/measured

Each thread asks for the pose in a box of its own; an answer is right where it equals the one that the
box had alone, before.
"""

import argparse
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np

from edge.model import Model, load
from edge.synth import draw_scene
from runtimes.errors import EdgeposeError

THREADS, ANSWERS = 8, 10_000
RUNTIMES = ("ncnn", "openvino", "onnxruntime", "tflite")
# pixels: batches of other sizes round differently, other people's poses are tens of pixels away
TOLERANCE_PX = 1e-3


def boxes(count: int) -> list[np.ndarray]:
    """Return `count` boxes over a 640x480 frame, float32 (1, 4) xyxy."""
    return [
        np.array([[20 + 55 * each, 40, 190 + 55 * each, 430]], np.float32) for each in range(count)
    ]


def soak(model: Model, answers: int) -> Counter[str]:
    """Return how many answers were right, wrong, or an error (by its class)."""
    image = draw_scene(11, (640, 480)).image
    asked = boxes(THREADS)
    wanted = [model.poses(image, box).xy for box in asked]
    apart = min(np.abs(wanted[a] - wanted[b]).max() for a in range(THREADS) for b in range(a))
    if apart < 1:
        raise SystemExit("two boxes have the same pose: a mix-up would not show")
    seen: list[Counter[str]] = [Counter() for _ in range(THREADS)]

    def work(number: int) -> None:
        for _ in range(answers // THREADS):
            try:
                found = model.poses(image, asked[number]).xy
            except EdgeposeError as error:
                seen[number][type(error).__name__] += 1
                continue
            same = np.allclose(found, wanted[number], rtol=0, atol=TOLERANCE_PX)
            seen[number]["right" if same else "wrong"] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(seen, Counter())


def main() -> None:
    """Run every runtime, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "artifacts", type=Path, help="directory with a pose artifact of each runtime"
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--answers", type=int, default=ANSWERS)
    args = parser.parse_args()
    rows = []
    for runtime in RUNTIMES:
        root = next(args.artifacts.glob(f"rtmpose-*.{runtime}-fp32"))
        start = time.perf_counter()
        with load(root) as model:
            counts = soak(model, args.answers)
            engine = model.session.effective.engine
        row = {"engine": engine, "threads": THREADS, "answers": counts.total(), **counts}
        rows.append(row | {"seconds": round(time.perf_counter() - start, 1)})
        print(rows[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "threads.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(rows), indent=1) + b"\n"
    )


if __name__ == "__main__":
    main()
