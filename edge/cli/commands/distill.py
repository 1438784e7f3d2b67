"""edgepose distill: a small student taught by a large teacher, ready for `export`."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.checks import require_torch, require_writable
from edge.cli.console import emit_json, emit_table, hint, number
from edge.cli.options import json_option, parse_wh
from edge.cli.progress import phases
from runtimes.errors import MissingDependencyError

if TYPE_CHECKING:
    from quantize.distill.runner import Outcome

# What is imported, and what is installed for it.
PACKAGES = {
    "lightning_fabric": "lightning-fabric",
    "safetensors": "safetensors",
    "matplotlib": "matplotlib",
}


@click.command("distill")
@click.option("--teacher", default="", help="An artifact, a checkpoint, or a name (see below).")
@click.option("--teacher-weights", help="FILE, `download` or URL, for a teacher given by name.")
@click.option("--teacher-task", help="The dataset whose keypoints the teacher gives.")
@click.option("--student", required=True, help="rtmpose-t, vitpose-192x6x3-simple, ...")
@click.option(
    "--data",
    multiple=True,
    default=["synth"],
    help="COCO.json, DIR or synth, each with :WEIGHT; repeat for several.",
)
@click.option("--images", default="", help="Where the COCO.json's images lie.")
@click.option("--val", default="", help="COCO.json to judge by; drawn people without.")
@click.option("--val-images", default="", help="Where its images lie.")
@click.option(
    "--method",
    "methods",
    default="heatmap",
    show_default=True,
    help="none, heatmap, token, simcc, feature, head; `heatmap,token` for both.",
)
@click.option("--keypoints", default="coco17", show_default=True, help="The student's own.")
@click.option("--input", "input_wh", help="WxH; the student's usual one without.")
@click.option("--init", default="", help="A checkpoint of the same network to begin with.")
@click.option("--token", default="", help="A knowledge token trained before.")
@click.option("--lessons", default="", help="A folder of teacher's maps to share.")
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), help="Optimiser steps, in place of epochs.")
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True)
@click.option("--accumulate", type=click.IntRange(1), default=1, show_default=True)
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=1e-3, show_default=True)
@click.option(
    "--guide",
    type=click.FloatRange(0),
    default=0.01,
    show_default=True,
    help="Weight of inner heatmaps of a convolutional student; it fades.",
)
@click.option("--layer-decay", type=click.FloatRange(0, 1, min_open=True), default=1.0)
@click.option(
    "--views",
    type=click.Choice(["strong", "weak", "gentle", "still"]),
    default="strong",
    show_default=True,
)
@click.option("--jitter", type=click.Choice(["none", "detector"]), default="none")
@click.option("--drawn", type=click.IntRange(1), default=2000, help="Pictures of drawn people.")
@click.option("--precision", type=click.Choice(["f32", "bf16", "f16"]), default="f32")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="A GPU where there is one.")
@click.option(
    "--spread-teacher",
    is_flag=True,
    help="Part the teacher among torchrun's processes (simcc, feature).",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, help="Threads that cut crops.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("distilled"))
@click.option("--resume", is_flag=True, help="Go on where --out stopped.")
@json_option
def command(
    teacher: str,
    teacher_weights: str | None,
    teacher_task: str | None,
    student: str,
    data: tuple[str, ...],
    images: str,
    val: str,
    val_images: str,
    methods: str,
    keypoints: str,
    input_wh: str | None,
    init: str,
    token: str,
    lessons: str,
    epochs: int,
    max_steps: int | None,
    batch: int,
    accumulate: int,
    lr: float,
    guide: float,
    layer_decay: float,
    views: Any,
    jitter: Any,
    drawn: int,
    precision: Any,
    device: Any,
    spread_teacher: bool,
    seed: int,
    workers: int,
    out: Path,
    resume: bool,
    as_json: bool,
) -> int:
    """Teach STUDENT by TEACHER on drawn people, photographs, or both.

    A teacher is an artifact on any runtime, a checkpoint of any family, or a catalogue name with --teacher-weights.
    Several processes or machines: torchrun --no-python --nproc-per-node N edgepose distill ...
    """
    require_torch()
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(package, "distill")
    from quantize.distill.config import Recipe, parse_methods

    recipe = Recipe(
        student=student,
        teacher=teacher,
        teacher_weights=teacher_weights,
        teacher_task=teacher_task,
        data=data,
        images=images,
        methods=parse_methods(methods),
        schema=keypoints,
        input_wh=parse_wh(input_wh) if input_wh else None,
        init=init,
        token=token,
        lessons=lessons,
        epochs=epochs,
        steps=max_steps,
        batch=batch,
        accumulate=accumulate,
        lr=lr,
        guide=guide,
        layer_decay=layer_decay,
        views=views,
        jitter=jitter,
        drawn=drawn,
        precision=precision,
        seed=seed,
        workers=workers,
    )
    require_writable(out)
    from quantize.distill.runner import distil

    first = int(os.environ.get("RANK", "0")) == 0  # torchrun's other processes say nothing
    with phases(quiet=not first) as listener:
        outcome = distil(
            recipe,
            out,
            listener,
            val=(val, val_images),
            device=device,
            spread=spread_teacher,
            resume=resume,
        )
    if first:
        _show(outcome, as_json)
        hint(f"edgepose export {outcome.student} --precision fp32,fp16")
    return 0


def _show(outcome: "Outcome", as_json: bool) -> None:
    marks = outcome.marks
    if as_json:
        emit_json({"student": str(outcome.student), "steps": outcome.steps, **marks.to_dict()})
        return
    emit_table(
        ["student", "steps", "AP", "PCK@0.2", "median px", "held-out people"],
        [
            [
                str(outcome.student),
                str(outcome.steps),
                number(marks.ap),
                number(marks.pck),
                number(marks.px),
                str(marks.people),
            ]
        ],
    )
