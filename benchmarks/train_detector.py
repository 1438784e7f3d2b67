"""Train the person detector that ships with edgepose, on drawn people only, and measure it.

    python benchmarks/train_detector.py SCRATCH docs/measured [--real ../shared/real] [--steps 10000]

The recipe is the default of `edgepose train --student rtmdet-nano` but for its data, both versions of the drawn people.
10000 steps take about two hours on two cores, and once 15 minutes for the pictures. An interrupted run resumes in
SCRATCH and repeats at most 100 steps, so it can be run in pieces: `timeout -s INT 50m python benchmarks/...`, again and
again. Writes the weights in half precision to weights/, the log to detector_log.csv and box AP to detector.json: on 200
drawn pictures of each version that were not trained on, and with --real on the athletes outside `lspet_test.txt` (one
box a picture: the share found says more than AP) and, for reporting alone, on 80 COCO photographs.
"""

import argparse
import csv
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import msgspec
import torch
from progress import PrintedProgress
from scarce_labels import Lspet
from shipping import ASSETS, ship

from devices.detect import detect_machine
from edge.evaluation.coco import boxes_xyxy, people_by_image
from edge.evaluation.dataset import Dataset, load_dataset
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.image import read_image
from edge.model import Model
from edge.nms.overlap import pairwise_iou
from edge.pipeline import DET_THRS
from export.checkpoint import load_checkpoint
from export.torch_session import TorchSession
from quantize.distill.detector.config import DetectorConfig
from quantize.distill.detector.runner import VAL_PICTURES, VAL_SEED, drawn_set, train_detector
from quantize.distill.loop.run_folder import CONFIG, LOG

NAME = "rtmdet-nano-drawn"
DATA = ("synth:50%", "synth-v2:50%")
METHOD = "benchmarks/train_detector.py: drawn people only; dynamic soft labels, quality focal and GIoU losses"


def trained(config: DetectorConfig, folder: Path) -> Path:
    """Train in the folder, or resume there; return the detector's file."""
    resume = (folder / CONFIG).exists()
    return train_detector(
        config, folder, PrintedProgress(NAME), device="cpu", resume=resume
    ).student


def measured(weights: Path, dataset: Dataset) -> dict[str, Any]:
    """Return box AP of the file as it ships, in PyTorch, and hits at the pipeline's threshold."""
    loaded = load_checkpoint(weights)
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    figures = msgspec.structs.asdict(score(model, dataset, predict(model, dataset)))
    return figures | at_threshold(model.with_threshold(DET_THRS["oks"]), dataset)


def at_threshold(model: Model, dataset: Dataset) -> dict[str, float]:
    """Return the share of people found (a box of IoU .5), and the share of boxes that are false positives."""
    fitted: list[float] = []
    astray: list[float] = []
    people = people_by_image(dataset.truth)
    for image_id, path in dataset.paths.items():
        iou = pairwise_iou(boxes_xyxy(people[image_id]), model.detect(read_image(path)).boxes)
        fitted += (iou.max(axis=1, initial=0) >= 0.5).tolist()
        astray += (iou.max(axis=0, initial=0) < 0.5).tolist()
    # a detector that was hardly trained finds nothing
    return {"found_at_.3": mean(fitted), "boxes_astray_at_.3": mean(astray or [0.0])}


def test_sets(args: argparse.Namespace) -> dict[str, Dataset]:
    """Return held-out drawn pictures of both versions, and photographs where --real is given."""
    listener = PrintedProgress(NAME)
    sets = {
        "drawn": drawn_set(listener, VAL_SEED, VAL_PICTURES),
        "drawn version 2": drawn_set(listener, VAL_SEED, VAL_PICTURES, version=2),
    }
    if args.real:
        lspet = Lspet.read(args.real / "people")
        chosen = lspet.write(args.scratch / "lspet.json", lspet.training_people())
        sets["athletes"] = load_dataset(chosen)
        sets["photographs"] = load_dataset(args.real / "coco-mini" / "instances.json")
    return sets


def minutes_in(log: Path, batch: int) -> float:
    """Return the minutes that the steps in a log took, over all resumed runs."""
    with log.open() as stream:
        seconds = sum(batch / float(row["images_per_s"]) for row in csv.DictReader(stream))
    return round(seconds / 60, 1)


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, help="the folder that holds coco-mini/")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--scenes", type=int, default=6000, help="of each version")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--init", default="", help="a checkpoint of rtmdet-nano to start from")
    parser.add_argument("--lr", type=float, help="lower than the recipe's where --init is trained")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    config = DetectorConfig(
        student="rtmdet-nano",
        data=tuple(args.data),
        drawn=args.scenes,
        init=args.init,
        steps=args.steps,
        lr=args.lr,
        seed=args.seed,
        save_every=min(100, args.steps),
        validate_every=max(args.steps // 10, 1),
    )
    student = trained(config, args.scratch)
    weights = ship(student, NAME, METHOD, args.assets)
    figures = {name: measured(weights, each) for name, each in test_sets(args).items()}
    machine = detect_machine()
    report = {
        "model": NAME,
        "bytes": weights.stat().st_size,
        "data": args.data,
        "scenes": args.scenes,
        "config": config,
        "minutes": minutes_in(args.scratch / LOG, config.batch),
        "on": f"{args.threads} threads of {machine.cpu_model or machine.arch}",
        "measured": figures,
    }
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (args.out / "detector.json").write_bytes(content + b"\n")
    shutil.copyfile(args.scratch / LOG, args.out / "detector_log.csv")
    print(content.decode())


if __name__ == "__main__":
    main()
