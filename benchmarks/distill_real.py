"""The gain of a real teacher on photographs: the same student with and without PP-TinyPose, three seeds each.

    python benchmarks/distill_real.py ../shared/real docs/measured OUT

The teacher is the imported OpenVINO artifact. Students start from the one that ships, which was trained on drawn people
only; they are trained on 1500 photographs of athletes (12 of COCO's 17 points labelled, some wrongly) and drawn people,
and validated once, at the end, on COCO photographs used neither for training nor for tuning: PCK@0.2 over the longer
side of the ground-truth box. Weights and pictures of both students on photographs stay in OUT (the athletes'
photographs are for research): distill_real.json and .md go to docs/measured.
"""

import argparse
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from progress import PrintedProgress, machine_words, write_report

from edge.evaluation.coco import boxes_xyxy, people_by_image
from edge.evaluation.dataset import load_dataset
from edge.image import read_image
from edge.media.draw import draw_poses, put_banner
from edge.model import Model, load
from export import load_checkpoint
from export.bundled import BUNDLED
from export.engine_files import engine_files
from export.import_model import import_model
from export.import_spec import like_spec
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig
from quantize.distill.loop.run_folder import CONFIG, STUDENT
from quantize.distill.runner import train_student
from quantize.distill.validation import PoseMetrics, validate, validate_model

ARMS = {"without a teacher": ("none",), "with PP-TinyPose as teacher": ("heatmap",)}
SEEDS = (0, 1, 2)
STUDENT_NAME, NETWORK, INPUT_WH = "rtmpose-t-drawn", "rtmpose-t", (96, 128)
BATCH = 16
SHOWN = 12


@dataclass(frozen=True)
class Row:
    """One student on the photographs."""

    arm: str
    seed: int
    pck: float
    ap: float
    px: float


def import_teacher(real: Path, out: Path) -> Path:
    """Wrap the teacher's OpenVINO files; the artifact is made once."""
    runtime, files = engine_files([real / "models" / "tinypose-256x192" / "model.xml"])
    done = next(out.glob("tinypose*"), None)
    if done:
        return done
    return import_model(files, like_spec("tinypose-256x192", runtime), out).artifact.root


def config(teacher: Path, real: Path, out: Path, arm: str, seed: int, steps: int) -> DistillConfig:
    """Return an arm's configuration; the arms differ in the teacher alone."""
    methods = ARMS[arm]
    athletes = real / "people" / "lspet" / "person_keypoints.json"
    return DistillConfig(
        student=NETWORK,
        input_wh=INPUT_WH,
        teacher=str(teacher) if methods != ("none",) else "",
        methods=methods,
        data=(f"{athletes}:2", "synth"),
        drawn=1000,
        teacher_cache=str(out / "teacher_cache") if methods != ("none",) else "",
        steps=steps,
        batch=BATCH,
        augment="gentle",
        init=str(BUNDLED[STUDENT_NAME].path),
        lr=5e-4,
        precision="bf16",
        seed=seed,
        save_every=steps,
    )


def trained(wanted: DistillConfig, folder: Path, val: Path) -> PoseMetrics:
    """Train the student, or resume an interrupted run; return its metrics."""
    resume = (folder / CONFIG).exists()
    return train_student(
        wanted, folder, PrintedProgress(folder.name), val=(str(val), ""), resume=resume
    ).metrics


def pictures(real: Path, students: dict[str, Path], out: Path) -> None:
    """Draw both students of the first seed on the same photographs, side by side."""
    dataset = load_dataset(real / "coco-mini" / "person_keypoints.json")
    people = people_by_image(dataset.truth)
    large = sorted(
        people, key=lambda each: -max((p.bbox[2] * p.bbox[3] for p in people[each]), default=0)
    )
    for image_id in large[:SHOWN]:
        image = read_image(dataset.paths[image_id])
        boxes = boxes_xyxy([person for person in people[image_id] if person.labelled])
        panels = []
        for arm, path in students.items():
            loaded = load_checkpoint(path)
            with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
                poses = model.poses(image, boxes)
            panels.append(put_banner(draw_poses(image, poses, 0.2), arm))
        cv2.imwrite(str(out / f"students-{image_id}.jpg"), np.hstack(panels))


def report(rows: list[Row], teacher: PoseMetrics, start: PoseMetrics, steps: int) -> str:
    """Return the page: the table, the gain and the spread of the seeds."""
    lines = ["| | PCK@0.2 of three seeds | mean | spread | AP |", "|---|---|---|---|---|"]
    means, spreads = {}, {}
    for arm in ARMS:
        values = [row.pck for row in rows if row.arm == arm]
        means[arm], spreads[arm] = statistics.mean(values), max(values) - min(values)
        listed = ", ".join(f"{value:.4f}" for value in values)
        ap = statistics.mean(row.ap for row in rows if row.arm == arm)
        lines.append(f"| {arm} | {listed} | {means[arm]:.4f} | {spreads[arm]:.4f} | {ap:.4f} |")
    lines.append(f"| before fine-tuning | {start.pck:.4f} | | | {start.ap or 0:.4f} |")
    lines.append(f"| PP-TinyPose itself | {teacher.pck:.4f} | | | {teacher.ap or 0:.4f} |")
    without, with_teacher = ARMS
    gain, spread = means[with_teacher] - means[without], max(spreads.values())
    said = "exceeds" if gain > spread else "does not exceed"
    words = (
        f"The teacher's gain is {gain:+.4f}, which {said} the larger spread of three seeds, {spread:.4f}. "
        f"{STUDENT_NAME} ({INPUT_WH[0]}x{INPUT_WH[1]}), {steps} steps of {BATCH} crops in bf16, of 1500 photographs "
        "of athletes (twice as often) and 1000 drawn pictures; validated on "
        f"{teacher.people} people of 80 COCO photographs in ground-truth boxes. {machine_words()}"
    )
    return "\n".join([*lines, "", words, ""])


def main() -> None:
    """Train six students, validate, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("measured", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=800)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    val = args.real / "coco-mini" / "person_keypoints.json"
    teacher = import_teacher(args.real, args.out)
    rows, students = [], {}
    for seed in SEEDS:
        for arm, methods in ARMS.items():
            folder = args.out / f"{methods[0]}-{seed}"
            wanted = config(teacher, args.real, args.out, arm, seed, args.steps)
            metrics = trained(wanted, folder, val)
            rows.append(Row(arm, seed, metrics.pck, metrics.ap or 0.0, metrics.px))
            students.setdefault(arm, folder / STUDENT)
            print(rows[-1], flush=True)
    with load(teacher) as model:
        teacher_marks = validate_model(model, load_dataset(val))
    loaded = load_checkpoint(BUNDLED[STUDENT_NAME].path)
    start = validate(loaded.module, loaded.spec, load_dataset(val))
    pictures(args.real, students, args.out)
    text = report(rows, teacher_marks, start, args.steps)
    write_report(args.measured, "distill_real", text, [asdict(row) for row in rows])
    print(text)


if __name__ == "__main__":
    main()
