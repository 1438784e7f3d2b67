"""Train the pose student that ships with edgepose, on drawn people only, and measure it.

    python benchmarks/train_student.py SCRATCH docs/measured [--real ../shared/real] [--steps 60000]

RTMPose-t at 96x128, where a step costs a quarter of one at its usual 192x256, on both versions of the drawn people.
60000 steps take about two hours on two cores, and once 10 minutes for the pictures. An interrupted run resumes in
SCRATCH and repeats at most 500 steps, so it can be run in pieces: `timeout -s INT 50m python benchmarks/...`, again and
again. Writes the weights in half precision to weights/, the log to student_log.csv, the curves and student.json: AP,
PCK@.1 and PCK@.2 in ground-truth boxes of 100 drawn pictures of each version that were not trained on, and with --real
of the athletes outside `lspet_test.txt` and, for reporting alone, of 80 COCO photographs.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
from progress import PrintedProgress, machine_words
from scarce_labels import Figures, Lspet, measure
from shipping import ASSETS, ship

from edge.evaluation.dataset import Dataset, load_dataset
from edge.model import Model
from export import load_checkpoint
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig
from quantize.distill.loop.run_folder import CONFIG, CURVES, LOG
from quantize.distill.runner import train_student
from quantize.distill.validation import drawn_dataset

NAME = "rtmpose-t-drawn"
METHOD = "benchmarks/train_student.py: drawn people only, labels alone"


DATA = ("synth:50%", "synth-v2:50%")


def config(
    data: Sequence[str], steps: int, drawn: int, init: str, lr: float | None
) -> DistillConfig:
    """Return the configuration: labels of drawn people, deep supervision."""
    return DistillConfig(
        student="rtmpose-t",
        methods=("none",),
        input_wh=(96, 128),
        data=tuple(data),
        drawn=drawn,
        init=init,
        augment="gentle",
        steps=steps,
        lr=lr,
        batch=16,
        ema=0.02,
        precision="bf16",
        save_every=min(500, steps),
        validate_every=max(steps // 12, 1),
    )


def trained(wanted: DistillConfig, folder: Path) -> Path:
    """Train in the folder, or resume there; return the student's file."""
    resume = (folder / CONFIG).exists()
    return train_student(wanted, folder, PrintedProgress(folder.name), resume=resume).student


def measured(weights: Path, sets: dict[str, Dataset]) -> dict[str, Figures]:
    """Return the figures of the file as it ships, in PyTorch."""
    loaded = load_checkpoint(weights)
    with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
        return {name: measure(model, dataset) for name, dataset in sets.items()}


def test_sets(scratch: Path, real: Path | None) -> dict[str, Dataset]:
    """Return held-out drawn pictures of both versions, and photographs where `real` is given."""
    sets = {"drawn": drawn_dataset(), "drawn version 2": drawn_dataset(version=2)}
    if real:
        lspet = Lspet.read(real / "people")
        chosen = lspet.write(scratch / "lspet.json", lspet.training_people())
        sets["athletes"] = load_dataset(chosen)
        sets["photographs"] = load_dataset(real / "coco-mini" / "person_keypoints.json")
    return sets


def main() -> None:
    """Train, write, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--real", type=Path, help="the folder that holds coco-mini/")
    parser.add_argument("--assets", type=Path, default=ASSETS)
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--drawn", type=int, default=5000, help="pictures of each version")
    parser.add_argument("--steps", type=int, default=60000)
    parser.add_argument("--init", default="", help="a checkpoint of rtmpose-t to start from")
    parser.add_argument("--lr", type=float, help="lower than the recipe's where --init is trained")
    args = parser.parse_args()
    wanted = config(args.data, args.steps, args.drawn, args.init, args.lr)
    student = trained(wanted, args.scratch)
    weights = ship(student, NAME, METHOD, args.assets)
    figures = measured(weights, test_sets(args.scratch, args.real))
    report = {
        "model": NAME,
        "bytes": weights.stat().st_size,
        "data": args.data,
        "pictures": args.drawn,
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
