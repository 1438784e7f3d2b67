"""Search of the constants of AlphaPose's pose NMS as its paper prints it, and every pose NMS on held-out boxes.

    python benchmarks/pose_nms_search.py --pose artifacts/rtmpose-t-drawn-96x128.onnxruntime-fp32

People are drawn. Each has one to four boxes beside the true one, shifted and scaled by up to 12 %, that score by their
overlap with it: what a detector with a low threshold and a loose NMS gives. The constants are those of the highest AP
on the first half of the images; the table has the AP on the second half.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import edge
from edge.evaluation.box_sources import BoxSource, listed_boxes
from edge.evaluation.coco import CocoResult, Id, as_results, boxes_xyxy, people_by_image
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.nms.overlap import pairwise_iou
from edge.nms.parametric_paper import PaperConstants, keep_confident, search_constants
from edge.synth import write_dataset
from edge.types import Detections, Poses

SHIFT = 0.12


def redundant(dataset: Dataset, seed: int) -> dict[Id, Detections]:
    """Return one to four boxes beside each person's."""
    rng = np.random.default_rng(seed)
    found: dict[Id, Detections] = {}
    for image_id, people in people_by_image(dataset.truth).items():
        boxes, scores = [], []
        for truth in boxes_xyxy([each for each in people if each.labelled]):
            width, height = truth[2:] - truth[:2]
            for _ in range(rng.integers(1, 5)):
                moved = truth + rng.uniform(-SHIFT, SHIFT, 4) * [width, height, width, height]
                boxes.append(moved.astype(np.float32))
                scores.append(float(pairwise_iou(truth[None], boxes[-1][None])[0, 0]))
        order = np.argsort(-np.array(scores), kind="stable")
        found[image_id] = Detections(
            np.array(boxes, np.float32).reshape(-1, 4)[order],
            np.array(scores, np.float32)[order],
            np.zeros(len(boxes), np.int32),
        )
    return found


def poses_of(model: edge.Model, dataset: Dataset, boxes: dict[Id, Detections]) -> dict[Id, Poses]:
    """Estimate a pose in every box, once."""
    return {
        n: model.poses(dataset.image(n), there.boxes, there.scores) for n, there in boxes.items()
    }


def kept(poses: dict[Id, Poses], constants: PaperConstants) -> list[CocoResult]:
    """Return the results that the paper's NMS leaves."""
    records = [
        record for n, each in poses.items() for record in keep_confident(each, constants).to_coco(n)
    ]
    return as_results(records)


def main() -> None:
    """Search on one half of the images, and print the AP of each NMS on the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pose", required=True)
    parser.add_argument("--images", type=int, default=160)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, edge.load(args.pose) as model:
        sets = []
        for seed in (31, 32):
            path = write_dataset(Path(folder) / str(seed), args.images // 2, seed)
            sets.append(load_dataset(path))
        search, test = sets
        boxes = [redundant(each, seed) for seed, each in enumerate(sets)]
        there = poses_of(model, search, boxes[0])
        best = search_constants(
            lambda constants: score(model, search, kept(there, constants)).AP or 0.0
        )
        print(f"found: {best}")
        source: BoxSource = listed_boxes(boxes[1])
        for name in ("none", "oks", "soft-oks", "parametric"):
            results = predict(model, test, boxes=source, pose_nms=name)
            print(f"{name:<24}{score(model, test, results).AP:.4f}")
        held_out = poses_of(model, test, boxes[1])
        for name, constants in (
            ("the code's constants", PaperConstants(1, 2.65, 1.7, 22.48 / 17)),
            ("searched", best),
        ):
            print(f"paper, {name:<17}{score(model, test, kept(held_out, constants)).AP:.4f}")


if __name__ == "__main__":
    main()
