"""Train the pose student that ships with edgepose, on drawn people only, and measure it.

    python benchmarks/train_student.py SCRATCH docs/measured [--real ../shared/real]

RTMPose-t at 96x128, where a step costs a quarter of one at its usual 192x256. Resumes an interrupted run. Writes the
weights in half precision to weights/, the log to student_log.csv, the curves and student.json: AP and PCK@0.2 in
ground-truth boxes of 100 drawn pictures that were not trained on, and with --real of 80 photographs, which a student
that never saw a photograph is not made for.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import msgspec
from progress import PrintedProgress, machine_words
from shipping import ASSETS, ship

from edge.evaluation.dataset import Dataset, load_dataset
from edge.model import Model
from export import load_checkpoint
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig
from quantize.distill.loop.run_folder import CONFIG, CURVES, LOG
from quantize.distill.runner import train_student
from quantize.distill.validation import drawn_dataset, validate_model

NAME = "rtmpose-t-drawn"
METHOD = "benchmarks/train_student.py: drawn people only, labels alone"


def config(steps: int) -> DistillConfig:
    """Return the configuration: labels of drawn people, deep supervision."""
    return DistillConfig(
        student="rtmpose-t",
        methods=("none",),
        input_wh=(96, 128),
        drawn=4000,
        augment="gentle",
        steps=steps,
        batch=16,
        precision="bf16",
    )


def trained(wanted: DistillConfig, folder: Path) -> Path:
    """Train in the folder, or resume there; return the student's file."""
    resume = (folder / CONFIG).exists()
    return train_student(wanted, folder, PrintedProgress(folder.name), resume=resume).student


def measured(weights: Path, dataset: Dataset) -> dict[str, Any]:
    """Return the metrics of the file as it ships, in PyTorch."""
    loaded = load_checkpoint(weights)
    return validate_model(
        Model(loaded.spec, TorchSession(loaded.module, loaded.spec)), dataset
    ).to_dict()


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, help="the folder that holds coco-mini/")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--steps", type=int, default=5000)
    args = parser.parse_args()
    student = trained(config(args.steps), args.scratch)
    weights = ship(student, NAME, METHOD, args.assets)
    figures = {"drawn": measured(weights, drawn_dataset())}
    if args.real:
        photographs = load_dataset(args.real / "coco-mini" / "person_keypoints.json")
        figures["photographs"] = measured(weights, photographs)
    report = {
        "model": NAME,
        "bytes": weights.stat().st_size,
        "steps": args.steps,
        "on": machine_words(),
        "measured": figures,
    }
    content = msgspec.json.format(msgspec.json.encode(report), indent=1)
    (args.out / "student.json").write_bytes(content + b"\n")
    shutil.copyfile(args.scratch / LOG, args.out / "student_log.csv")
    shutil.copyfile(args.scratch / CURVES, args.out / "student_curves.png")
    print(content.decode())


if __name__ == "__main__":
    main()
