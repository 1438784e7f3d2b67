"""Versions of the drawn people judged on photographs: short training of the same student on each, and on mixtures.

    python benchmarks/drawn_versions.py ../shared/real/people OUT [--arms plain photographic even] [--steps 300]

RTMPose-t at 96x128 starts from the shipped weights. Judged on the LSPET photographs outside `lspet_test.txt` (every
`--every`th; nothing of theirs is trained on) and on 100 held-out drawn pictures of each version. Every arm's figures
are kept in OUT, so that arms can be run one at a time.
"""

import argparse
from pathlib import Path

import msgspec
from progress import PrintedProgress
from scarce_labels import Figures, Lspet, measure

from edge.evaluation.dataset import Dataset, load_dataset
from edge.model import Model
from export import load_checkpoint
from export.bundled import BUNDLED
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig
from quantize.distill.loop.run_folder import CONFIG, STUDENT
from quantize.distill.runner import train_student
from quantize.distill.validation import drawn_dataset

ARMS = {
    "start": (),
    "plain": ("synth",),
    "photographic": ("synth-v2",),
    "even": ("synth:50%", "synth-v2:50%"),
    "third": ("synth:33%", "synth-v2:67%"),
}
START = BUNDLED["rtmpose-t-drawn"].path


def config(arm: str, steps: int, drawn: int) -> DistillConfig:
    """Return an arm's configuration: the arms differ in their data alone."""
    return DistillConfig(
        student="rtmpose-t",
        methods=("none",),
        input_wh=(96, 128),
        data=ARMS[arm],
        drawn=drawn,
        augment="gentle",
        init=str(START),
        steps=steps,
        batch=16,
        lr=1e-3,
        ema=0.05,
        precision="bf16",
        save_every=steps,
    )


def finished(
    arm: str, wanted: DistillConfig | None, out: Path, tests: dict[str, Dataset]
) -> dict[str, Figures]:
    """Return the figures of an arm, trained where that is not done yet."""
    kept = out / f"{arm}.json"
    if not kept.exists():
        student = START
        if wanted is not None:
            resume = (out / arm / CONFIG).exists()
            train_student(wanted, out / arm, PrintedProgress(arm), resume=resume)
            student = out / arm / STUDENT
        loaded = load_checkpoint(student)
        with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
            found = {name: measure(model, dataset) for name, dataset in tests.items()}
        kept.write_bytes(msgspec.json.encode(found))
    return msgspec.json.decode(kept.read_bytes(), type=dict[str, Figures])


def main() -> None:
    """Train, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", type=Path, help="the folder that holds lspet/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--drawn", type=int, default=600)
    parser.add_argument("--every", type=int, default=3)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lspet = Lspet.read(args.people)
    chosen = lspet.write(args.out / "lspet.json", lspet.training_people()[:: args.every])
    tests = {
        "LSPET": load_dataset(chosen),
        "version 1": drawn_dataset(),
        "version 2": drawn_dataset(version=2),
    }
    print(f"| arm | {' | '.join(f'{name} PCK@.1 / AP' for name in tests)} |")
    for arm in args.arms:
        wanted = config(arm, args.steps, args.drawn) if ARMS[arm] else None
        found = finished(arm, wanted, args.out, tests)
        cells = [f"{found[name].pck_1:.3f} / {found[name].ap:.3f}" for name in tests]
        print(f"| {arm} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
