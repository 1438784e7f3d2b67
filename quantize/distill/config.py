"""What a training is: everything that decides the student, written beside it, so that a resumed one is the same one."""

from pathlib import Path
from typing import Literal, cast

import msgspec

from runtimes.errors import InputError, TargetExistsError
from runtimes.files import atomic_file
from runtimes.record import Record

RECIPE = "recipe.json"
STUDENT = "student.safetensors"
# What a student may be taught by, besides the labels, and in which order the parts of a loss are named.
METHODS = {
    "none": "labels alone: the student without a teacher",
    "heatmap": "heatmaps like the teacher's (of a SimCC student: their marginals)",
    "token": "a knowledge token, trained for the teacher and frozen, beside the student's patches",
    "simcc": "SimCC outputs like the teacher's",
    "feature": "the last feature map and the outputs like the teacher's, less and less (DWPose, first stage)",
    "head": "a fresh head on the student's own frozen backbone, like the old one (DWPose, second stage)",
}
Method = Literal["none", "heatmap", "token", "simcc", "feature", "head"]
# What may differ when a training goes on: how it is prepared and saved decides nothing. Nor does how a step's samples
# are parted, which is what helps where memory ran out.
FREE = ("workers", "save_every", "lessons")


class Recipe(Record, frozen=True, kw_only=True):
    """Everything that decides a training.

    teacher: an artifact's directory, a checkpoint or a name (with `teacher_weights`); empty for none. data: COCO.json,
    DIR or synth, each with `:WEIGHT` where its people are seen more or less often than once an epoch. schema: the
    student's keypoints. init: a checkpoint of the same family and size to begin with; of another input, its backbone.
    token: a file, trained before; empty to train one where the method wants it. lessons: a folder of teacher's maps to
    share with other trainings; empty for one of its own. steps: optimiser steps; None for `epochs` of the data.
    batch: crops at once, on all processes together; a step learns from `accumulate` of these. guide: the first weight
    of heatmaps asked of the inside of a convolutional student (`guide`), 0 for none. views: how far crops stray.
    drawn: pictures of drawn people, for `synth`.
    """

    format: int = 1
    student: str
    teacher: str = ""
    teacher_weights: str | None = None
    teacher_task: str | None = None
    teacher_heads: int | None = None
    data: tuple[str, ...] = ("synth",)
    images: str = ""
    methods: tuple[Method, ...] = ("heatmap",)
    schema: str = "coco17"
    input_wh: tuple[int, int] | None = None
    init: str = ""
    token: str = ""
    token_steps: int = 300
    lessons: str = ""
    epochs: int = 10
    steps: int | None = None
    batch: int = 32
    accumulate: int = 1
    lr: float = 1e-3
    layer_decay: float = 1.0
    teacher_share: float = 1.0
    guide: float = 0.01
    views: Literal["strong", "weak", "gentle", "still"] = "strong"
    jitter: Literal["none", "detector"] = "none"
    drawn: int = 2000
    precision: Literal["f32", "bf16", "f16"] = "f32"
    seed: int = 0
    workers: int = 1
    save_every: int = 200


def parse_methods(text: str) -> tuple[Method, ...]:
    """Return the methods of a list with commas; raises InputError for one that is not known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise InputError(
            f"unknown method {', '.join(unknown) or repr(text)}; known: {', '.join(METHODS)}"
        )
    return tuple(dict.fromkeys(cast("list[Method]", names)))


def check_methods(methods: tuple[Method, ...], teacher: str, student: str) -> None:
    """Raise InputError for methods that do not go together, or that nobody is there to teach."""
    alone = [method for method in methods if method in {"none", "head", "feature"}]
    if alone and len(methods) > 1:
        raise InputError(
            f"{alone[0]} goes with no other method ({METHODS[alone[0]]}); leave the others out"
        )
    if methods != ("none",) and not teacher:
        raise InputError(f"--method {','.join(methods)} needs a teacher: add --teacher MODEL")
    if "token" in methods and not student.startswith("vitpose"):
        raise InputError(
            f"a knowledge token stands among a transformer's patches, and {student} has none; "
            "take a vitpose student or another method"
        )


def check_begun(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Raise unless a training of this recipe can begin in `folder`, or on `resume` go on there.

    TargetExistsError where a training lies there already; InputError where there is none to resume, or another one,
    naming what differs.
    """
    if not resume:
        if (folder / RECIPE).exists():
            raise TargetExistsError(
                f"{folder} holds a training; go on with it by --resume, or name another --out"
            )
        return
    before = read_recipe(folder)
    same_step = recipe.batch * recipe.accumulate == before.batch * before.accumulate
    free = (*FREE, "batch", "accumulate") if same_step else FREE
    differing = [
        name
        for name in recipe.__struct_fields__
        if name not in free and getattr(recipe, name) != getattr(before, name)
    ]
    if differing:
        name = differing[0]
        raise InputError(
            f"{folder} was begun with {name} {getattr(before, name)!r}, not {getattr(recipe, name)!r}; "
            "resume with the same, or begin anew in another --out"
        )


def begin(folder: Path, recipe: Recipe) -> None:
    """Write the recipe into `folder`: from now on a training lies there."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / RECIPE) as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(recipe), indent=1) + b"\n")


def read_recipe(folder: Path) -> Recipe:
    """Return the recipe of a training; raises InputError where there is none or it cannot be read."""
    path = folder / RECIPE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no training to resume; leave --resume out") from error
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({error}); begin anew in another --out"
        ) from error
