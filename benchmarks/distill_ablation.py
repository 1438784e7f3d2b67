"""The four arms of ViTPose++'s section 3.4 on few labelled photographs: labels alone, a token, heatmaps, both.

    OMP_NUM_THREADS=1 python benchmarks/distill_ablation.py ../shared/real/people OUT \
        --tinypose ../shared/real/models/tinypose-256x192 --coco ../shared/real/coco-mini \
        [--teacher VITPOSE.pth] [--minutes 50] [--measured docs/measured]

Data and tests are those of `distill_real.py`: 50 labelled athletes (the seed chooses them) and drawn people; the
teacher's heatmaps also supervise the other photographs, whose labels are not read. A token needs a PyTorch ViTPose:
that of --teacher, or without it one that learns PP-TinyPose's heatmaps of all training photographs. Students start from
a ViTPose trained on drawn people for --start-steps. Arms say something only where that start is past the constant pose:
the table has rows of both. Beside the token arm: the teacher's loss on the test labels without a token, with a random
one and with the trained one. Every run is kept in OUT and resumed there; with --minutes no new run begins after that
time. With --measured the page is written where all runs are done.
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from progress import PrintedProgress, machine_words, write_report
from scarce_labels import (
    BATCH,
    DRAWN,
    INPUT_WH,
    Figures,
    Lspet,
    Place,
    constant_pose,
    data_of,
    import_teacher,
    measure,
    measure_constant,
    test_sets,
)

from edge.evaluation.dataset import Dataset, load_dataset
from edge.model import Model
from edge.schema import load_schema
from export import load_checkpoint
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig, Method
from quantize.distill.data.augment import NO_AUGMENTATION
from quantize.distill.data.batches import pose_batches, split_into_batches
from quantize.distill.data.instances import instances_of
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from quantize.distill.loop.run_folder import CONFIG, STUDENT
from quantize.distill.losses.terms import WeightedLoss, label_loss
from quantize.distill.methods.token import random_token, read_token, token_teacher
from quantize.distill.methods.token_training import FILE
from quantize.distill.pose_task import PoseTask
from quantize.distill.runner import train_student
from quantize.distill.teachers.teacher import Teacher, open_teacher

COCO = load_schema("coco17")
SEEDS = (0, 1, 2)
LABELS = 50
LR = 1e-3
TEACHER = "vitpose-192x6x3-simple"
# Arm: methods, and whether the teacher supervises photographs without labels.
ARMS: Mapping[str, tuple[tuple[Method, ...], bool]] = {
    "labels": (("none",), False),
    "token": (("token",), False),
    "heatmap": (("heatmap",), True),
    "both": (("heatmap", "token"), True),
}
CONSTANT, BEFORE = "a constant pose, athletes' mean", "the students before training"
PAPER = "labels < token < heatmap < both"


@dataclass(frozen=True)
class Ablation:
    """What all arms share: the data, the teacher's checkpoint, the student and its first weights."""

    place: Place
    teacher: Path
    student: str
    start: Path
    token_steps: int


@dataclass(frozen=True)
class Row:
    """One arm and seed: figures by test set; for the token arm the teacher's losses on LSPET's test labels."""

    arm: str
    seed: int
    figures: dict[str, Figures]
    teacher_losses: dict[str, float]


def base(student: str, steps: int, data: Sequence[str]) -> DistillConfig:
    """Return what the configurations of all networks have in common: labels of `data`."""
    return DistillConfig(
        student=student,
        input_wh=INPUT_WH,
        methods=("none",),
        data=tuple(data),
        drawn=DRAWN,
        steps=steps,
        batch=BATCH,
        lr=LR,
        augment="gentle",
        precision="bf16",
        save_every=200,
        validate_every=steps,
    )


def trained(wanted: DistillConfig, folder: Path) -> Path:
    """Train in the folder, or resume there, unless that is done; return the student's file."""
    student = folder / STUDENT
    if not student.exists():
        train_student(
            wanted, folder, PrintedProgress(folder.name), resume=(folder / CONFIG).exists()
        )
    return student


def trained_teacher(place: Place, steps: int) -> Path:
    """Return a ViTPose that learned PP-TinyPose's heatmaps of all training photographs, and drawn people."""
    every = place.lspet.write(place.out / "sets" / "all.json", place.lspet.training_people())
    wanted = msgspec.structs.replace(
        base(TEACHER, steps, (f"{every}:50%", "synth:50%")),
        teacher=str(place.teacher),
        methods=("heatmap",),
    )
    return trained(wanted, place.out / "teacher")


def arm_config(shared: Ablation, arm: str, seed: int) -> DistillConfig:
    """Return an arm's configuration; the arms differ in methods and in the photographs without labels alone."""
    methods, taught = ARMS[arm]
    token = shared.place.out / f"token-{seed}" / FILE  # of the token arm, which comes first
    return msgspec.structs.replace(
        base(shared.student, shared.place.steps, data_of(shared.place, seed, LABELS, taught)),
        methods=methods,
        teacher="" if arm == "labels" else str(shared.teacher),
        teacher_cache=str(shared.place.out / "teacher_cache" / str(seed)) if taught else "",
        token=str(token) if arm == "both" else "",
        token_steps=shared.token_steps,
        init=str(shared.start),
        ema=0.05,
        seed=seed,
    )


def finished(shared: Ablation, arm: str, seed: int) -> Row:
    """Return the row of an arm and seed, trained or resumed where that is not done yet."""
    folder = shared.place.out / f"{arm}-{seed}"
    kept = folder / "row.json"
    if not kept.exists():
        student = trained(arm_config(shared, arm, seed), folder)
        losses = teacher_losses(shared, folder / FILE, seed) if arm == "token" else {}
        row = Row(arm, seed, measured_figures(student, shared.place.tests), losses)
        kept.write_bytes(msgspec.json.encode(row))
    return msgspec.json.decode(kept.read_bytes(), type=Row)


def measured_figures(checkpoint: Path, tests: Mapping[str, Dataset]) -> dict[str, Figures]:
    """Return a network's figures on each test set."""
    loaded = load_checkpoint(checkpoint)
    with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
        return {name: measure(model, dataset) for name, dataset in tests.items()}


def teacher_losses(shared: Ablation, token: Path, seed: int) -> dict[str, float]:
    """Return the teacher's heatmap loss on LSPET's test labels: without a token, with a random and the trained one."""
    teacher = open_teacher(str(shared.teacher))
    dataset = shared.place.tests["LSPET"]
    trained_vector, _ = read_token(token, teacher)
    vectors = {
        "none": None,
        "random": random_token(trained_vector.shape[2], 1000 + seed),
        "trained": trained_vector,
    }
    return {name: held_out_loss(teacher, vector, dataset) for name, vector in vectors.items()}


@torch.no_grad()
def held_out_loss(teacher: Teacher, token: torch.Tensor | None, dataset: Dataset) -> float:
    """Return MSE(T({t; X}), K_gt) over the labelled people of a data set, upright crops as at inference."""
    network = teacher.module
    if token is not None:
        network = token_teacher(teacher, 0)
        network.module.backbone.token.copy_(token)
    spec = teacher.spec
    patches = PatchCache(instances_of(dataset, COCO, "test"), spec.crop.padding)
    sampler = Sampler(patches, COCO, spec.crop, spec.image.wh)
    plan = split_into_batches(range(len(patches)), BATCH)
    task = PoseTask(spec.image, {"truth": WeightedLoss(label_loss(spec))})
    losses = [
        float(task.losses(network.eval(), batch, 0.0)["truth"])
        for batch in pose_batches(sampler, plan, 0, NO_AUGMENTATION)
    ]
    return statistics.mean(losses)


def references(shared: Ablation) -> dict[str, dict[str, Figures]]:
    """Return the figures of a constant pose, of the students before training, and of the teacher, by test set."""
    place = shared.place
    everyone = place.lspet.write(place.out / "sets" / "all.json", place.lspet.training_people())
    pose = constant_pose(load_dataset(everyone))
    start, teacher = (
        measured_figures(each, place.tests) for each in (shared.start, shared.teacher)
    )
    loaded = load_checkpoint(shared.start)
    with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
        constant = {
            name: measure_constant(model, pose, dataset) for name, dataset in place.tests.items()
        }
    return {
        name: {
            CONSTANT: constant[name],
            BEFORE: start[name],
            "the teacher": teacher[name],
        }
        for name in place.tests
    }


def report(shared: Ablation, rows: Sequence[Row]) -> str:
    """Return the page: a table a test set with paired differences, the order found, the teacher's losses."""
    lines = []
    known = references(shared)
    for test, fixed in known.items():
        lines += [f"**{test}**, true boxes", ""]
        lines += ["| | PCK@0.1, each seed | mean | difference from labels, each seed | AP |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {name} | {each.pck_1:.3f} | {each.pck_1:.3f} | | {each.ap:.3f} |"
            for name, each in fixed.items()
        ]
        lines += [_row(arm, test, rows) for arm in ARMS if any(row.arm == arm for row in rows)]
        lines += [""]
    if known["LSPET"][BEFORE].pck_1 <= known["LSPET"][CONSTANT].pck_1:
        lines += ["The students start no better than a constant pose: the arms say nothing.", ""]
    lines += [*map(_losses, (row for row in rows if row.teacher_losses)), ""]
    teacher = load_checkpoint(shared.teacher)
    words = (
        f"The paper's order: {PAPER}. Student {shared.student}, teacher {teacher.family}-{teacher.size} "
        f"({shared.teacher.name}), {INPUT_WH[0]}x{INPUT_WH[1]}, {LABELS} labels, {shared.place.steps} steps of {BATCH} "
        f"crops in bf16. {machine_words()}"
    )
    return "\n".join([*lines, words, ""])


def _row(arm: str, test: str, rows: Sequence[Row]) -> str:
    mine = {row.seed: row.figures[test] for row in rows if row.arm == arm}
    labels = {row.seed: row.figures[test].pck_1 for row in rows if row.arm == "labels"}
    each = ", ".join(f"{found.pck_1:.3f}" for found in mine.values())
    gains = [found.pck_1 - labels[seed] for seed, found in mine.items() if seed in labels]
    paired = "" if arm == "labels" else ", ".join(f"{gain:+.3f}" for gain in gains)
    mean, ap = (
        statistics.mean(values)
        for values in zip(*((found.pck_1, found.ap) for found in mine.values()), strict=True)
    )
    return f"| {arm} | {each} | {mean:.3f} | {paired} | {ap:.3f} |"


def _losses(row: Row) -> str:
    each = ", ".join(f"{name} {1e4 * loss:.3f}" for name, loss in row.teacher_losses.items())
    return f"The teacher's loss on LSPET's test labels x 1e4, seed {row.seed}, by token: {each}."


def main() -> None:
    """Run what is not done yet, within the time; print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", type=Path, help="the folder that holds lspet/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tinypose", type=Path, required=True, help="folder of model.xml")
    parser.add_argument("--coco", type=Path, help="the folder that holds person_keypoints.json")
    parser.add_argument("--teacher", type=Path, help="checkpoint of a ViTPose; trained if absent")
    parser.add_argument("--teacher-steps", type=int, default=20_000)
    parser.add_argument("--student", default="vitpose-128x4x4-simple")
    parser.add_argument("--start-steps", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--token-steps", type=int, default=300)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--measured", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * args.minutes
    tests = test_sets(args.people, args.coco)
    place = Place(
        Lspet.read(args.people),
        tests,
        import_teacher(args.tinypose, args.out),
        args.out,
        args.steps,
    )
    start = trained(base(args.student, args.start_steps, ("synth",)), args.out / "start")
    teacher = args.teacher or trained_teacher(place, args.teacher_steps)
    shared = Ablation(place, teacher, args.student, start, args.token_steps)
    rows = []
    wanted = [(arm, seed) for seed in args.seeds for arm in ARMS]
    for arm, seed in wanted:
        if (args.out / f"{arm}-{seed}" / "row.json").exists() or time.monotonic() < until:
            rows.append(finished(shared, arm, seed))
            print(rows[-1], flush=True)
    text = report(shared, rows)
    if args.measured and len(rows) == len(wanted):
        write_report(
            args.measured, "distill_ablation", text, [msgspec.to_builtins(r) for r in rows]
        )
    print(text)


if __name__ == "__main__":
    main()
