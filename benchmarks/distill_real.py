"""Few labels and a teacher, on photographs: what a real teacher is worth, in labels.

    python benchmarks/distill_real.py ../shared/real/people OUT --tinypose ../shared/real/models/tinypose-256x192 \
        --coco ../shared/real/coco-mini [--minutes 8] [--measured docs/measured]

50 labelled photographs of athletes (the seed chooses them) and drawn people, against the same with PP-TinyPose as
teacher of the other photographs, whose labels are not read; and 200 and 800 labels without a teacher, for comparison.
Tested on 300 other athletes (`lspet_test.txt`) and on COCO photographs that nothing is chosen on. Every run is kept in
OUT and resumed there: with --minutes no new run begins after that time, and the next call resumes. The table of what is
done is printed; with --measured it is written too. The photographs are for research, so students trained
on them are not shipped. Pictures of both students of the first seed are in OUT.
"""

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from progress import PrintedProgress, machine_words, write_report
from scarce_labels import (
    BATCH,
    DRAWN,
    INPUT_WH,
    START,
    SURE,
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

from edge.evaluation.coco import boxes_xyxy, people_by_image
from edge.evaluation.dataset import load_dataset
from edge.media.draw import draw_poses, put_banner
from edge.model import Model, load
from export import load_checkpoint
from export.bundled import BUNDLED
from export.torch_session import TorchSession
from quantize.distill.config import DistillConfig
from quantize.distill.loop.run_folder import CONFIG, STUDENT
from quantize.distill.runner import train_student
from quantize.distill.validation import drawn_dataset

# Networks and their learning rates for 16 crops.
NETWORKS = {"rtmpose-t": 2e-3, "cspnext-t-fpn": 4e-3}
SEEDS = (0, 1, 2)
STEPS = 1200
# Labels, and whether the teacher supervises the other photographs.
ARMS = {
    "50 labels": (50, False),
    "50 labels + teacher": (50, True),
    "200 labels": (200, False),
    "800 labels": (800, False),
}
LABELS, TAUGHT = "50 labels", "50 labels + teacher"
SHOWN = 8


@dataclass(frozen=True)
class Run:
    """One training run: a network, an arm, a seed."""

    network: str
    arm: str
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.network}-{self.arm.replace(' ', '').replace('+', '-')}-{self.seed}"


def config(place: Place, run: Run) -> DistillConfig:
    """Return a run's configuration; the arms differ in their data and in the teacher alone."""
    taught = ARMS[run.arm][1]
    return DistillConfig(
        student=run.network,
        input_wh=INPUT_WH,
        teacher=str(place.teacher) if taught else "",
        methods=("heatmap",) if taught else ("none",),
        # shared by the networks
        teacher_cache=str(place.out / "teacher_cache" / str(run.seed)) if taught else "",
        data=data_of(place, run.seed, *ARMS[run.arm]),
        drawn=DRAWN,
        steps=place.steps,
        batch=BATCH,
        augment="gentle",
        init=str(BUNDLED[START].path),
        lr=NETWORKS[run.network],
        ema=0.05,
        precision="bf16",
        seed=run.seed,
        save_every=100,
        validate_every=place.steps,
    )


def finished(place: Place, run: Run) -> dict[str, Figures]:
    """Return the figures of a run, trained or resumed where that is not done yet."""
    folder = place.out / run.name
    result = folder / "figures.json"
    if not result.exists():
        resume = (folder / CONFIG).exists()
        train_student(config(place, run), folder, PrintedProgress(run.name), resume=resume)
        loaded = load_checkpoint(folder / STUDENT)
        with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
            figures = {name: measure(model, dataset) for name, dataset in place.tests.items()}
        result.write_bytes(msgspec.json.encode(figures))
    return msgspec.json.decode(result.read_bytes(), type=dict[str, Figures])


def references(place: Place) -> dict[str, dict[str, Figures]]:
    """Return the figures of constant poses, of the student before training, and of the teacher; computed once."""
    kept = place.out / "references.json"
    if not kept.exists():
        everyone = place.lspet.write(place.out / "sets" / "all.json", place.lspet.training_people())
        constants = {
            "a constant pose, athletes' mean": constant_pose(load_dataset(everyone)),
            "a constant pose, drawn people's mean": constant_pose(drawn_dataset()),
        }
        loaded = load_checkpoint(BUNDLED[START].path)
        with (
            Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as start,
            load(place.teacher) as teacher,
        ):
            found = {
                name: {
                    **{
                        each: measure_constant(start, pose, dataset)
                        for each, pose in constants.items()
                    },
                    f"{START}, before training": measure(start, dataset),
                    "PP-TinyPose, the teacher": measure(teacher, dataset),
                }
                for name, dataset in place.tests.items()
            }
        kept.write_bytes(msgspec.json.encode(found))
    return msgspec.json.decode(kept.read_bytes(), type=dict[str, dict[str, Figures]])


def tables(place: Place, done: dict[Run, dict[str, Figures]]) -> str:
    """Return the page: a table for each test set, and the paired differences of each network."""
    lines = []
    known = references(place)
    for test, dataset in place.tests.items():
        people = next(iter(known[test].values())).people
        lines += [
            f"**{test}** ({people} people on {len(dataset.paths)} photographs, true boxes)",
            "",
            "| | PCK@0.1, each seed | mean | AP | PCK@0.2 |",
            "|---|---|---|---|---|",
            *(_row(name, [figures]) for name, figures in known[test].items()),
        ]
        for network in NETWORKS:
            for arm in ARMS:
                found = [
                    all_[test]
                    for run, all_ in done.items()
                    if (run.network, run.arm) == (network, arm)
                ]
                if found:
                    lines.append(_row(f"{network}, {arm}", found))
        lines += ["", *(_gain(network, test, done) for network in NETWORKS), ""]
    return "\n".join(lines)


def _row(name: str, found: list[Figures]) -> str:
    each = ", ".join(f"{figures.pck_1:.3f}" for figures in found)
    means = [
        statistics.mean(values)
        for values in zip(*((f.pck_1, f.ap, f.pck_2) for f in found), strict=True)
    ]
    return f"| {name} | {each} | {means[0]:.3f} | {means[1]:.3f} | {means[2]:.3f} |"


def _gain(network: str, test: str, done: dict[Run, dict[str, Figures]]) -> str:
    """Return the teacher's gain in a sentence: seed by seed, against the larger spread of the seeds."""
    values: dict[str, dict[int, float]] = {LABELS: {}, TAUGHT: {}}
    for run, figures in done.items():
        if run.network == network and run.arm in values:
            values[run.arm][run.seed] = figures[test].pck_1
    seeds = sorted(set(values[LABELS]) & set(values[TAUGHT]))
    if not seeds:
        return f"{network}: not run yet."
    pairs = [values[TAUGHT][seed] - values[LABELS][seed] for seed in seeds]
    spreads = [max(arm.values()) - min(arm.values()) for arm in values.values()]
    listed = ", ".join(f"{each:+.3f}" for each in pairs)
    said = f"the larger spread of the seeds is {max(spreads):.3f}" if len(seeds) > 1 else "one seed"
    return f"{network}: the teacher adds {statistics.mean(pairs):+.3f} PCK@0.1 ({listed}); {said}."


def pictures(place: Place, network: str) -> None:
    """Draw both students of the first seed on the same photographs, side by side."""
    dataset = list(place.tests.values())[-1]
    people = people_by_image(dataset.truth)
    large = sorted(
        people, key=lambda each: -max((p.bbox[2] * p.bbox[3] for p in people[each]), default=0)
    )
    for image_id in large[:SHOWN]:
        image = dataset.image(image_id)
        boxes = boxes_xyxy([person for person in people[image_id] if person.labelled])
        panels = []
        for arm in (LABELS, TAUGHT):
            loaded = load_checkpoint(place.out / Run(network, arm, SEEDS[0]).name / STUDENT)
            with Model(loaded.spec, TorchSession(loaded.module, loaded.spec)) as model:
                panels.append(put_banner(draw_poses(image, model.poses(image, boxes), 0.2), arm))
        cv2.imwrite(str(place.out / f"{network}-{image_id}.jpg"), np.hstack(panels))


def report(place: Place, done: dict[Run, dict[str, Figures]], measured: Path | None) -> None:
    """Print the page; write it with the rows where `measured` is given."""
    networks = sorted({run.network for run in done})
    words = (
        f"{' and '.join(networks)} at {INPUT_WH[0]}x{INPUT_WH[1]} from {START}: {place.steps} steps of {BATCH} crops "
        f"in bf16, equal parts labelled, unlabelled and drawn ({DRAWN} pictures); the seed also chooses the "
        f"labels. Unlabelled: all other training photographs on which the teacher's mean score is at least {SURE}. "
        f"{machine_words()}"
    )
    text = "\n".join([tables(place, done), words, ""])
    if measured:
        rows: list[dict[str, Any]] = [
            {"network": run.network, "arm": run.arm, "seed": run.seed, "figures": figures}
            for run, figures in done.items()
        ]
        write_report(measured, "distill_real", text, rows)
    print(text)


def main() -> None:
    """Run what is not done yet, within the time; print or write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("people", type=Path, help="the folder that holds lspet/")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tinypose", type=Path, required=True, help="folder of model.xml")
    parser.add_argument("--coco", type=Path, help="the folder that holds person_keypoints.json")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--measured", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + 60 * args.minutes
    teacher = import_teacher(args.tinypose, args.out)
    place = Place(
        Lspet.read(args.people), test_sets(args.people, args.coco), teacher, args.out, args.steps
    )
    done: dict[Run, dict[str, Figures]] = {}
    wanted = [
        Run(network, arm, seed)
        for seed in args.seeds
        for network in args.networks
        for arm in args.arms
    ]
    for run in wanted:
        ready = (place.out / run.name / "figures.json").exists()
        if ready or time.monotonic() < until:
            done[run] = finished(place, run)
            print(run.name, done[run], flush=True)
    report(place, done, args.measured)
    for network in args.networks:
        if {Run(network, arm, SEEDS[0]) for arm in (LABELS, TAUGHT)} <= set(done):
            pictures(place, network)


if __name__ == "__main__":
    main()
