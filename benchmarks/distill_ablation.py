"""The arms of ViTPose++'s section 3.4 on drawn people: labels alone, a token, heatmaps, both, and a random token.

    python benchmarks/distill_ablation.py docs/measured OUT [--teacher TEACHER.safetensors]

The teacher is a ViTPose of the student's width and three times its depth, trained here on labels of the same drawn
people unless given, and on many more crops than a student sees; its token is trained once. Every seed gives all arms
the same initial weights and the same batches, to the pixel. Validated on drawn people outside every training set.
Writes distill_ablation.json and .md; resumes an interrupted run.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from lightning_fabric import Fabric
from progress import PrintedProgress, machine_words, write_report

from edge.schema import load_schema
from export import load_checkpoint
from quantize.distill.assembly import Supervision, assemble
from quantize.distill.config import DistillConfig
from quantize.distill.data.batches import Batch
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from quantize.distill.data.schedule import plan_batches
from quantize.distill.data.sources import TrainingSet, load_training_set
from quantize.distill.loop.distributed import open_fabric
from quantize.distill.loop.optimizer import LrSchedule
from quantize.distill.loop.run_folder import CONFIG
from quantize.distill.loop.train import StepResult, TrainSettings, train
from quantize.distill.loop.train_state import new_train_state
from quantize.distill.methods.token import random_token, token_variant
from quantize.distill.methods.token_training import load_or_train_token
from quantize.distill.pose_task import PoseTask
from quantize.distill.runner import train_student
from quantize.distill.student import student_spec, student_variant
from quantize.distill.teachers.cache import TeacherCache, build_teacher_cache
from quantize.distill.teachers.teacher import Teacher, open_teacher
from quantize.distill.validation import PoseMetrics, drawn_dataset, validate

COCO = load_schema("coco17")
INPUT_WH = (96, 128)
MAP_WH = (24, 32)  # the teacher's own
SEEDS = (0, 1, 2)
VAL_PICTURES = 300
TEACHER = "vitpose-128x6x4-simple"
LR = 1e-3
BATCH = 8  # a ViT from scratch learns three times as much from a crop in batches of 8 as in batches of 32
# arm: methods, and whose token
ARMS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "labels": (("none",), ""),
    "token": (("token",), "teacher"),
    "heatmap": (("heatmap",), ""),
    "both": (("heatmap", "token"), "teacher"),
    "random token": (("token",), "random"),
}


@dataclass(frozen=True)
class Row:
    """One arm and seed; `loss` is the mean label loss over the last tenth."""

    arm: str
    seed: int
    ap: float
    pck: float
    px: float
    loss: float


@dataclass(frozen=True)
class Stage:
    """What all arms have in common."""

    fabric: Fabric
    teacher: Teacher
    training_set: TrainingSet
    patch_cache: PatchCache
    teacher_cache: TeacherCache
    token: torch.Tensor
    args: Any


def config(args: Any, methods: tuple[Any, ...], seed: int) -> DistillConfig:
    """Return one arm's configuration."""
    return DistillConfig(
        student=args.student,
        input_wh=INPUT_WH,
        teacher=str(args.teacher),
        methods=methods,
        steps=args.steps,
        batch=BATCH,
        lr=LR,
        augment="gentle",
        drawn=args.drawn,
        token_steps=args.token_steps,
        seed=seed,
    )


def trained_teacher(args: Any) -> Path:
    """Train the teacher on labels, or resume an interrupted run."""
    wanted = DistillConfig(
        student=TEACHER,
        input_wh=INPUT_WH,
        methods=("none",),
        steps=args.teacher_steps,
        batch=BATCH,
        lr=LR,
        augment="gentle",
        drawn=args.drawn,
        save_every=1000,
    )
    folder = args.out / "teacher"
    resume = (folder / CONFIG).exists()
    return train_student(wanted, folder, PrintedProgress("teacher"), resume=resume).student


def prepared(args: Any) -> Stage:
    """Draw people, cache the teacher's heatmaps, train its token; all of it once."""
    args.teacher = args.teacher or trained_teacher(args)
    fabric = open_fabric("cpu", "f32")
    teacher = open_teacher(str(args.teacher))
    first = config(args, ("token",), 0)
    training_set = load_training_set(first.data, COCO, first.drawn)
    spec = student_spec(student_variant(args.student, INPUT_WH), "student")
    patch_cache = PatchCache(training_set.instances, spec.crop.padding)
    listener = PrintedProgress("ablation")
    listener.phase("teacher cache", len(patch_cache))
    teacher_cache = build_teacher_cache(
        args.out / "teacher_cache",
        teacher,
        patch_cache,
        COCO,
        MAP_WH,
        lambda done, _: listener.advance(done, "cached"),
    )
    listener.phase("token", args.token_steps)
    token = load_or_train_token(
        first,
        args.out,
        fabric,
        teacher,
        training_set,
        COCO,
        lambda step, _: listener.advance(step.number, ""),
    )
    return Stage(fabric, teacher, training_set, patch_cache, teacher_cache, token, args)


def batches_of_seed(stage: Stage, seed: int) -> list[Batch]:
    """Return every batch of a seed's run, in memory, so that each arm sees the same."""
    wanted = config(stage.args, ("none",), seed)
    spec = student_spec(student_variant(wanted.student, INPUT_WH), "student")
    sampler = Sampler(stage.patch_cache, COCO, spec.crop, INPUT_WH, seed)
    return list(
        plan_batches(stage.training_set.slices, wanted).batches(sampler, 0, stage.fabric, 1)
    )


def run_arm(stage: Stage, arm: str, seed: int, batches: Sequence[Batch]) -> Row:
    """Train and validate one arm."""
    methods, whose = ARMS[arm]
    wanted = config(stage.args, methods, seed)
    variant = student_variant(wanted.student, INPUT_WH)
    teacher_cache = stage.teacher_cache if "heatmap" in methods else None
    token = None
    if whose:
        variant = token_variant(variant)
        width = stage.token.shape[2]
        token = stage.token if whose == "teacher" else random_token(width, 1000 + seed)
    supervision = Supervision(
        labelled=True, teacher=stage.teacher, teacher_cache=teacher_cache, token=token
    )
    student = assemble(wanted, variant, COCO, supervision)
    lr_schedule = LrSchedule(wanted.lr, warmup_steps=max(stage.args.steps // 20, 1))
    state = new_train_state(student.module, lr_schedule)
    settings = TrainSettings(stage.args.steps, lr_schedule, save_every=stage.args.steps)
    folder = stage.args.out / f"{arm.replace(' ', '-')}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    steps: list[StepResult] = []
    spec = student_spec(variant, "student")
    task = PoseTask(spec.image, student.losses)
    train(stage.fabric, state, task, batches, settings, folder, steps.append)
    metrics = validate(student.extract(state.average.state), spec, drawn_dataset(VAL_PICTURES))
    tail = steps[-max(len(steps) // 10, 1) :]
    loss = statistics.mean(step.losses["truth"] for step in tail)
    return Row(arm, seed, metrics.ap or 0.0, metrics.pck, metrics.px, loss)


def report(rows: Sequence[Row], teacher: PoseMetrics, args: Any) -> str:
    """Return the page: each arm's mean over seeds, and its difference from labels alone, seed by seed."""
    lines = [
        "| arm | AP, each seed | mean AP | difference from labels (mean, each seed) | PCK@0.2 |",
        "|---|---|---|---|---|",
    ]
    base = {row.seed: row.ap for row in rows if row.arm == "labels"}
    for arm in ARMS:
        mine = [row for row in rows if row.arm == arm]
        gains = [row.ap - base[row.seed] for row in mine]
        each = ", ".join(f"{gain:+.4f}" for gain in gains)
        aps = ", ".join(f"{row.ap:.4f}" for row in mine)
        mean = statistics.mean(row.ap for row in mine)
        pck = statistics.mean(row.pck for row in mine)
        gain = "" if arm == "labels" else f"{statistics.mean(gains):+.4f} ({each})"
        lines.append(f"| {arm} | {aps} | {mean:.4f} | {gain} | {pck:.4f} |")
    lines.append(f"| the teacher | {teacher.ap or 0:.4f} | | | {teacher.pck:.4f} |")
    names = ("labels", "token", "heatmap", "both")
    means = {name: statistics.mean(r.ap for r in rows if r.arm == name) for name in names}
    found = " < ".join(sorted(names, key=lambda name: means[name]))
    teacher_size = load_checkpoint(args.teacher).size
    words = (
        f"Order found: {found}; the paper's: labels < token < heatmap < both. Student {args.student}, teacher "
        f"vitpose-{teacher_size}, {INPUT_WH[0]}x{INPUT_WH[1]}, {args.steps} steps of {BATCH} crops, "
        f"{len(SEEDS)} seeds, drawn people ({args.drawn} pictures to train on, {VAL_PICTURES} others with "
        f"{teacher.people} people to validate on, ground-truth boxes). {machine_words()}"
    )
    return "\n".join([*lines, "", words, ""])


def done_before(path: Path) -> list[Row]:
    """Return the rows of an interrupted run."""
    return msgspec.json.decode(path.read_bytes(), type=list[Row]) if path.exists() else []


def main() -> None:
    """Run all arms and seeds, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--teacher-steps", type=int, default=30_000)
    parser.add_argument("--student", default="vitpose-128x2x4-simple")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--token-steps", type=int, default=1000)
    parser.add_argument("--drawn", type=int, default=4000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    kept = args.out / "rows.json"
    rows = done_before(kept)
    stage = prepared(args)
    for seed in SEEDS:
        missing = [
            arm for arm in ARMS if not any((row.arm, row.seed) == (arm, seed) for row in rows)
        ]
        batches = batches_of_seed(stage, seed) if missing else []
        for arm in missing:
            rows.append(run_arm(stage, arm, seed, batches))
            kept.write_bytes(msgspec.json.encode(rows))
            print(rows[-1], flush=True)
    spec = stage.teacher.spec
    text = report(rows, validate(stage.teacher.module, spec, drawn_dataset(VAL_PICTURES)), args)
    write_report(args.measured, "distill_ablation", text, [asdict(row) for row in rows])
    print(text)


if __name__ == "__main__":
    main()
