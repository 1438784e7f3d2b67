"""A whole distillation: people gathered, teacher asked, token trained, student trained, measured and written.

Everything lies in one folder: recipe.json, state.pt and log.csv (the training's), marks.csv (held-out people),
lessons/ (what the teacher said), token.safetensors, and at the end student.safetensors, curves.png and result.json.
"""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import msgspec
from lightning_fabric import Fabric

from edge.evaluation.coco import Dataset
from edge.schema import KeypointSchema, load_schema
from export import load_checkpoint
from export.lineage import joined_terms
from export.registry import Variant
from export.student_file import Card, write_student
from quantize.distill.assembly import Help, Trainee, check_pair, make_trainee, spread_teacher
from quantize.distill.config import STUDENT, Recipe, begin, check_begun, check_methods
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.data.patch_cache import Album
from quantize.distill.data.samples import Sampler
from quantize.distill.data.schedule import plan_course
from quantize.distill.data.sources import Crowd, gather, refuse_idle
from quantize.distill.distributed import Device, close_fabric, open_fabric
from quantize.distill.errors import told, written
from quantize.distill.methods.token import with_token
from quantize.distill.methods.token_training import trained_token
from quantize.distill.optimizer import Rates
from quantize.distill.plots import draw_curves, read_log
from quantize.distill.student import student_spec, student_variant
from quantize.distill.teacher import Teacher, open_teacher
from quantize.distill.teacher_cache import Lessons, write_lessons
from quantize.distill.train import LOG, STATE, Learner, Settings, Step, new_learner, train, trim_log
from quantize.distill.validation import Marks, held_out, judge
from runtimes.files import atomic_file

MARKS = "marks.csv"
CURVES = "curves.png"
RESULT = "result.json"
LESSONS = "lessons"
WARMUP_SHARE = 0.05


class Listener(Protocol):
    """Who is told how far it is: a progress bar, a log, nobody."""

    def phase(self, name: str, total: int) -> None:
        """A piece of work of `total` steps begins."""

    def advance(self, done: int, text: str) -> None:
        """So many of its steps are done."""

    def say(self, text: str) -> None:
        """A line worth keeping."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The student's file, its marks on held-out people, and how many people it learned from."""

    student: Path
    marks: Marks
    steps: int
    people: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What a training works with, settled before anything long begins."""

    recipe: Recipe
    folder: Path
    fabric: Fabric
    variant: Variant
    schema: KeypointSchema
    teacher: Teacher | None
    crowd: Crowd
    judged: Dataset
    album: Album
    listener: Listener


def distil(
    recipe: Recipe,
    folder: Path,
    listener: Listener,
    *,
    val: tuple[str, str] = ("", ""),
    device: Device | None = None,
    spread: bool = False,
    resume: bool = False,
) -> Outcome:
    """Train the recipe's student in `folder`, or go on where it stopped, and return what came out.

    val: a COCO.json to judge by, and its images' folder; drawn people where empty. spread: part the teacher's weights
    among the processes. Under torchrun every process calls this. Raises InputError for whatever does not fit, before
    anything long begins; TrainingError where the training cannot go on.
    """
    with told(int(os.environ.get("WORLD_SIZE", "1"))):
        bench = _prepare(recipe, folder, listener, val, device, resume=resume)
        if spread:
            spread_teacher(recipe, bench.teacher, bench.fabric)
        with written(folder):
            given = _help(bench)
        trainee = make_trainee(recipe, bench.variant, bench.schema, given)
        learner = _train(bench, trainee, resume=resume)
        with written(folder):
            marks = _written(bench, trainee, learner)
        close_fabric(bench.fabric)
    return Outcome(folder / STUDENT, marks, learner.done, len(bench.crowd.people))


def _prepare(
    recipe: Recipe,
    folder: Path,
    listener: Listener,
    val: tuple[str, str],
    device: Device | None,
    *,
    resume: bool,
) -> Bench:
    check_methods(recipe.methods, recipe.teacher, recipe.student)
    check_begun(folder, recipe, resume=resume)
    schema = load_schema(recipe.schema)
    variant = student_variant(recipe.student, recipe.input_wh, recipe.schema)
    if "token" in recipe.methods:
        variant = with_token(variant)
    teacher = None
    if recipe.teacher:
        teacher = open_teacher(
            recipe.teacher,
            recipe.teacher_weights,
            task=recipe.teacher_task,
            heads=recipe.teacher_heads,
        )
        check_pair(recipe, variant, schema, teacher)
    fabric = open_fabric(device, recipe.precision)
    with fabric.rank_zero_first():
        listener.phase("people", 0)
        crowd = gather(recipe.data, schema, recipe.drawn, recipe.images or None)
        judged = held_out(*val, schema)
        refuse_idle(recipe, crowd)
        if fabric.is_global_zero:
            begin(folder, recipe)
    album = Album(crowd.people, student_spec(variant, "student").crop.padding)
    return Bench(recipe, folder, fabric, variant, schema, teacher, crowd, judged, album, listener)


def _help(bench: Bench) -> Help:
    """Ask the teacher for what the methods need of it, once."""
    recipe, teacher = bench.recipe, bench.teacher
    given = Help(bench.crowd.labelled, teacher)
    if teacher is None:
        return given
    if "token" in recipe.methods:
        token = trained_token(
            recipe,
            bench.folder,
            bench.fabric,
            teacher,
            bench.crowd,
            bench.schema,
            _heard(bench, "token"),
        )
        given = replace(given, token=token)
    if "heatmap" in recipe.methods:
        with bench.fabric.rank_zero_first():
            given = replace(given, lessons=_lessons(bench, teacher))
    return given


def _lessons(bench: Bench, teacher: Teacher) -> Lessons:
    folder = Path(bench.recipe.lessons) if bench.recipe.lessons else bench.folder / LESSONS
    keypoints = map_keypoints(teacher.schema, bench.schema)
    bench.listener.phase("teacher", len(bench.album))

    def told(done: int, _total: int) -> None:
        bench.listener.advance(done, "asking the teacher")

    return write_lessons(folder, teacher, bench.album, keypoints, _kept_wh(bench, teacher), told)


def _kept_wh(bench: Bench, teacher: Teacher) -> tuple[int, int]:
    """Return the size of kept maps: the teacher's, at most twice the student's heatmaps."""
    theirs = (side // 4 for side in teacher.spec.image.wh)
    ours = (side // 4 for side in bench.variant.input_wh)
    width, height = (min(their, 2 * our) for their, our in zip(theirs, ours, strict=True))
    return width, height


def _train(bench: Bench, trainee: Trainee, *, resume: bool) -> Learner:
    recipe, fabric, folder = bench.recipe, bench.fabric, bench.folder
    course = plan_course(bench.crowd.shares, recipe)
    rates = Rates(
        recipe.lr,
        warmup_steps=max(round(course.steps * WARMUP_SHARE), 1),
        layer_decay=recipe.layer_decay,
    )
    learner = new_learner(trainee.module, rates)
    if resume and (folder / STATE).exists():
        learner.load(folder / STATE)
    trim_log(folder / MARKS, learner.done)
    spec = student_spec(bench.variant, "student")
    sampler = Sampler(bench.album, bench.schema, spec.crop, bench.variant.input_wh, recipe.seed)
    batches = course.batches(sampler, learner.done, fabric, recipe.workers)
    settings = Settings(
        course.steps,
        rates,
        accumulate=recipe.accumulate,
        save_every=recipe.save_every,
        seed=recipe.seed,
    )
    show = _heard(bench, "student")

    def heard(step: Step) -> None:
        show(step, course.steps)
        if step.number % recipe.save_every == 0 and step.number < course.steps:
            _mark(bench, trainee, learner)

    train(fabric, learner, trainee.parts, batches, spec.image, settings, folder, heard)
    return learner


def _mark(bench: Bench, trainee: Trainee, learner: Learner) -> Marks:
    """Measure the averaged student and note it."""
    module = trainee.finish(learner.average.state)
    marks = judge(module, student_spec(bench.variant, "student"), bench.judged)
    path = bench.folder / MARKS
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["step", "ap", "pck", "px"])
        writer.writerow([learner.done, "" if marks.ap is None else marks.ap, marks.pck, marks.px])
    ap = "-" if marks.ap is None else f"{marks.ap:.3f}"
    bench.listener.say(f"step {learner.done}: held-out AP {ap}, PCK@0.2 {marks.pck:.3f}")
    return marks


def _heard(bench: Bench, phase: str) -> Callable[[Step, int], None]:
    begun = False

    def heard(step: Step, total: int) -> None:
        nonlocal begun
        if not begun:
            bench.listener.phase(phase, total)
            begun = True
        text = f"loss {step.loss:.3g}, {step.images_per_s:.0f} images/s"
        bench.listener.advance(step.number, text)

    return heard


def _written(bench: Bench, trainee: Trainee, learner: Learner) -> Marks:
    """Measure, write the student with its card, draw the curves; the first process does it for all."""
    folder = bench.folder
    if bench.fabric.is_global_zero:
        trim_log(folder / MARKS, learner.done - 1)
        marks = _mark(bench, trainee, learner)
        write_student(folder / STUDENT, trainee.finish(learner.average.state), _card(bench))
        log, course = read_log(folder / LOG), read_log(folder / MARKS)
        draw_curves(log, course, folder.name, folder / CURVES)
        _note(
            folder / RESULT,
            {"marks": marks.to_dict(), "steps": learner.done, "people": len(bench.crowd.people)},
        )
    bench.fabric.barrier()
    if not bench.fabric.is_global_zero:
        return _noted(folder / RESULT)
    return marks


def _card(bench: Bench) -> Card:
    """Return what the student's file says of it; it is bound as its teacher is, and as what it began from."""
    recipe, variant = bench.recipe, bench.variant
    sources = [bench.teacher.lineage] if bench.teacher else []
    if recipe.init:
        sources.append(load_checkpoint(recipe.init).lineage)
    licences, commercial_use = joined_terms(sources)
    return Card(
        model=f"{variant.family}-{variant.size}",
        family=variant.family,
        size=variant.size,
        input_wh=variant.input_wh,
        schema=variant.schema,
        codec=variant.codec,
        teacher=bench.teacher.spec.model if bench.teacher else "",
        method=",".join(recipe.methods),
        licences=licences,
        commercial_use=commercial_use,
    )


def _note(path: Path, value: dict[str, Any]) -> None:
    with atomic_file(path) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")


def _noted(path: Path) -> Marks:
    return msgspec.convert(msgspec.json.decode(path.read_bytes())["marks"], Marks)
