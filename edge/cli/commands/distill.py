"""edgepose distill: a small student trained with a large teacher, ready for `edgepose export`."""

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.checks import require_torch, require_writable
from edge.cli.console import emit_json, emit_table, hint, number, say
from edge.cli.options import PATH, json_option, parse_wh, setting, together
from edge.cli.progress import phases
from edge.cli.verb import Verb
from quantize.distill.config import Recipe, parse_methods
from runtimes.errors import MissingDependencyError

if TYPE_CHECKING:
    from quantize.distill.runner import Outcome

# Modules that training imports, and the packages that provide them.
PACKAGES = {
    "lightning_fabric": "lightning-fabric",
    "safetensors": "safetensors",
    "matplotlib": "matplotlib",
}
VIEWS = ("strong", "weak", "gentle", "still")
JITTER = ("none", "detector")
PRECISIONS = ("f32", "bf16", "f16")
POSITIVE = click.FloatRange(0, min_open=True)


def _methods(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
    return parse_methods(value)


def _wh(_ctx: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    return parse_wh(value) if value else None


# Each fills the field of Recipe that it is named after.
teacher_options = together(
    click.option("--teacher", default="", help="An artifact, a checkpoint, or a catalogue name."),
    click.option("--teacher-weights", help="FILE, `download` or URL, for a catalogue name."),
    click.option("--teacher-task", help="Dataset whose keypoints the teacher predicts."),
    click.option(
        "--teacher-heads", type=click.IntRange(1), help="As --heads of `edgepose export`."
    ),
    click.option(
        "--method",
        "methods",
        default="heatmap",
        show_default=True,
        callback=_methods,
        help="none, heatmap, token, simcc, feature, head; `heatmap,token` for both.",
    ),
    click.option("--token", default="", help="A trained knowledge token to use."),
    click.option("--lessons", default="", help="Directory of a teacher cache to share."),
)
student_options = together(
    click.option("--student", required=True, help="rtmpose-t, vitpose-192x6x3-simple, ..."),
    setting(["--keypoints", "schema"], str, "coco17", "Keypoint set of the student."),
    click.option(
        "--input", "input_wh", callback=_wh, help="Input size WxH. Default: the student's usual."
    ),
    click.option("--init", default="", help="Checkpoint of the same network to start from."),
)
data_options = together(
    click.option(
        "--data",
        multiple=True,
        default=["synth"],
        show_default=True,
        help="COCO.json, DIR or synth, each with an optional :WEIGHT; repeat for several.",
    ),
    click.option("--images", default="", help="Directory of the images that COCO.json lists."),
    setting(["--drawn"], click.IntRange(1), 2000, "Number of drawn pictures, for synth."),
    setting(["--views"], click.Choice(VIEWS), "strong", "Strength of the augmentation."),
    setting(["--jitter"], click.Choice(JITTER), "none", "Noise on the boxes, as of a detector."),
    setting(["--workers"], click.IntRange(1), 1, "Data loading threads."),
)
training_options = together(
    setting(["--epochs"], click.IntRange(1), 10, "Passes over the data."),
    click.option(
        "--max-steps",
        "steps",
        type=click.IntRange(1),
        help="Optimizer steps, in place of --epochs.",
    ),
    setting(["--batch"], click.IntRange(1), 32, "Crops in a batch, over all processes."),
    setting(["--accumulate"], click.IntRange(1), 1, "Batches in an optimizer step."),
    setting(["--lr"], POSITIVE, 1e-3, "Learning rate."),
    setting(
        ["--layer-decay"],
        click.FloatRange(0, 1, min_open=True),
        1.0,
        "Factor on the learning rate from each layer to the one below.",
    ),
    setting(
        ["--guide"],
        click.FloatRange(0),
        0.01,
        "Initial weight of deep supervision of a convolutional student; 0 for none.",
    ),
    setting(["--precision"], click.Choice(PRECISIONS), "f32", "Arithmetic of training."),
    setting(["--seed"], click.IntRange(0), 0, "Seed of everything random."),
)


@click.command("distill", cls=Verb)
@teacher_options
@student_options
@data_options
@click.option("--val", default="", help="COCO.json to validate on. Default: drawn people.")
@click.option("--val-images", default="", help="Directory of the images that --val lists.")
@training_options
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), help="Default: a GPU where there is one."
)
@click.option(
    "--spread-teacher",
    is_flag=True,
    help="Shard the teacher over torchrun's processes (simcc, feature).",
)
@setting(["--out"], PATH, Path("distilled"), "Directory of the training run.")
@click.option("--resume", is_flag=True, help="Resume the training run in --out.")
@json_option
def command(
    recipe: Recipe,
    val: str,
    val_images: str,
    device: Any,
    spread_teacher: bool,
    out: Path,
    resume: bool,
    as_json: bool,
) -> int:
    """Train a small student with a large teacher, on drawn people, photographs, or both.

    A teacher is an artifact on any runtime, a checkpoint of any family, or a catalogue name with --teacher-weights.
    On several processes or machines: torchrun --no-python --nproc-per-node N edgepose distill ...
    """
    require_torch()
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(package, "distill")
    require_writable(out)
    from quantize.distill.runner import distil

    first = int(os.environ.get("RANK", "0")) == 0  # torchrun's other processes print nothing
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
        say(f"wrote {outcome.student}; curves, log and checkpoint are beside it")
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
