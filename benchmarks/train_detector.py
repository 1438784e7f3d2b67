"""Trains the person detector that ships with edgepose, on drawn people only, and measures it.

    python benchmarks/train_detector.py SCRATCH docs/measured [--real ../shared/real] [--steps 2600] [--resume]

Draws the pictures into SCRATCH once, trains RTMDet-nano there (log.csv, state.pt), and writes the weights in halves to
export/assets/, the log to detector_log.csv and box AP to detector.json: on 200 drawn pictures that were not trained
on, and with --real on 80 photographs, which a detector that never saw a photograph is not made for. One thread.
"""

import argparse
import copy
import csv
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

import cv2
import msgspec
import torch

from devices.detect import detect_machine
from edge.cli.console import progress
from edge.evaluation.coco import Dataset, boxes_xyxy, load_dataset, people_by_image
from edge.evaluation.predict import predict
from edge.evaluation.score import score
from edge.image import read_image
from edge.model import Model
from edge.nms.overlap import pairwise_iou
from edge.pipeline import DET_THRS
from export.checkpoint import load_checkpoint
from export.registry import Variant, load_family
from export.student_file import Card, write_student
from export.torch_session import TorchSession
from quantize.distill.detector.data import draw_pictures, gallery_of
from quantize.distill.detector.train import (
    Settings,
    Step,
    averaged,
    batches,
    new_learner,
    train,
)
from quantize.distill.optimizer import Rates
from quantize.distill.train import LOG, STATE, Learner

NAME = "rtmdet-nano-drawn"
VARIANT = Variant("rtmdet", "nano", (320, 320), classes=("person",))
ASSETS = Path(__file__).parents[1] / "export" / "assets"
TRAIN_SEED, HELD_OUT_SEED, HELD_OUT = 1, 101, 200
CARD = Card(
    model=NAME,
    family=VARIANT.family,
    size=VARIANT.size,
    input_wh=VARIANT.input_wh,
    classes=VARIANT.classes,
    method="benchmarks/train_detector.py: drawn people only; dynamic soft labels, quality focal and GIoU losses",
    licences=("Apache-2.0",),
    commercial_use=True,
)


def drawn(scratch: Path, seed: int, count: int) -> Dataset:
    """Return drawn pictures, rendered the first time."""
    with progress("draw", count) as advance:
        annotations = draw_pictures(
            scratch / "scenes", seed, count, lambda done, _: advance(str(done))
        )
    return load_dataset(annotations)


def trained(scratch: Path, dataset: Dataset, settings: Settings, *, resume: bool) -> Learner:
    """Train, or go on; returns the learner at its last step."""
    learner = new_learner(VARIANT, settings)
    if resume:
        learner.load(scratch / STATE)
    source = batches(gallery_of(dataset), settings, first=learner.done)
    image = load_family(VARIANT.family).spec(VARIANT, NAME).image
    train(learner, source, image, settings, scratch, heard)
    return learner


def heard(step: Step) -> None:
    """Print every fiftieth step."""
    if step.number % 50 == 0:
        losses = f"quality {step.quality:.4f} giou {step.giou:.4f}"
        print(f"{step.number}: {losses}, {step.images_per_s:.1f} images/s", flush=True)


def measured(weights: Path, dataset: Dataset) -> dict[str, Any]:
    """Return box AP of the file as it ships, in PyTorch, and what is found at the pipeline's threshold."""
    loaded = load_checkpoint(weights)
    model = Model(loaded.spec, TorchSession(loaded.module, loaded.spec))
    figures = msgspec.structs.asdict(score(model, dataset, predict(model, dataset)))
    return figures | at_threshold(model.with_threshold(DET_THRS["oks"]), dataset)


def at_threshold(model: Model, dataset: Dataset) -> dict[str, float]:
    """Return the share of people that a box fits (IoU .5), and the share of boxes that fit nobody."""
    fitted: list[float] = []
    astray: list[float] = []
    people = people_by_image(dataset.truth)
    for image_id, path in dataset.paths.items():
        iou = pairwise_iou(boxes_xyxy(people[image_id]), model.detect(read_image(path)).boxes)
        fitted += (iou.max(axis=1, initial=0) >= 0.5).tolist()
        astray += (iou.max(axis=0, initial=0) < 0.5).tolist()
    return {"found_at_.3": mean(fitted), "boxes_astray_at_.3": mean(astray)}


def minutes_in(log: Path, batch: int) -> float:
    """Return how long the steps in a log took, those before a resumption too."""
    with log.open() as stream:
        seconds = sum(batch / float(row["images_per_s"]) for row in csv.DictReader(stream))
    return round(seconds / 60, 1)


def main() -> None:
    """Draw, train, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, help="the folder that holds coco-mini/")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--scenes", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.scratch.mkdir(parents=True, exist_ok=True)
    settings = Settings(args.steps, Rates(lr=2e-3, warmup_steps=100), seed=args.seed)
    dataset = drawn(args.scratch, TRAIN_SEED, args.scenes)
    learner = trained(args.scratch, dataset, settings, resume=args.resume)
    weights = args.assets / f"{NAME}.safetensors"
    write_student(weights, copy.deepcopy(averaged(learner, VARIANT)).half(), CARD)
    figures = {"drawn": measured(weights, drawn(args.scratch, HELD_OUT_SEED, HELD_OUT))}
    if args.real:
        photographs = load_dataset(args.real / "coco-mini" / "instances.json")
        figures["photographs"] = measured(weights, photographs)
    machine = detect_machine()
    report = {
        "model": NAME,
        "bytes": weights.stat().st_size,
        "scenes": args.scenes,
        "settings": settings,
        "minutes": minutes_in(args.scratch / LOG, settings.batch),
        "on": f"1 thread of {machine.cpu_model or machine.arch}",
        "measured": figures,
    }
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (args.out / "detector.json").write_bytes(content + b"\n")
    shutil.copyfile(args.scratch / LOG, args.out / "detector_log.csv")
    print(content.decode())


if __name__ == "__main__":
    main()
