"""Options, checks and output shared by `train` and `distill`."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from edge.cli.checks import require_torch, require_writable
from edge.cli.console import command_line, emit_json, emit_table, hint, number, say
from edge.cli.options import PATH, Decorator, FiniteRange, parse_wh, setting, together
from runtimes.errors import MissingDependencyError

if TYPE_CHECKING:
    from quantize.distill.config import TrainingConfig
    from quantize.distill.loop.job import Metrics, TrainingResult

# Modules that training imports, and the packages that provide them.
PACKAGES = {
    "lightning_fabric": "lightning-fabric",
    "safetensors": "safetensors",
    "matplotlib": "matplotlib",
}
PARAMETERS = {"schema": "keypoints"}  # settings that an option of another name fills
C = TypeVar("C", bound="TrainingConfig")
PRECISIONS = ("f32", "bf16", "f16")
POSITIVE = FiniteRange(0, min_open=True)


def _wh(_ctx: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, int] | None:
    return parse_wh(value) if value else None


extra_head_option = click.option(
    "--extra-head",
    multiple=True,
    metavar="SET",
    help="Keypoint set of a further head on the same backbone (`export --task SET`); repeat for several.",
)
# Of pose models, in both commands; without a default, so that `train` can refuse them for a detector.
augment_options = together(
    click.option(
        "--augment",
        type=click.Choice(["strong", "weak", "gentle", "still"]),
        help="Strength of a pose model's augmentation; `still` is none. Default: strong.",
    ),
    click.option(
        "--weak-share",
        type=FiniteRange(0, 1),
        help="Share of the steps that ends a strong run with weak augmentation. Default: .1, of 100 epochs 30 / 420.",
    ),
    click.option(
        "--jitter",
        type=click.Choice(["none", "detector"]),
        help="Noise on a pose model's boxes, as of a detector. Default: none.",
    ),
    click.option(
        "--jitter-start",
        type=FiniteRange(0, 1),
        help="Share of the steps before boxes are jittered. Default: 0; AlphaPose: .74.",
    ),
    section="Data",
)
pose_loss_options = together(
    click.option(
        "--deep-supervision",
        type=FiniteRange(0),
        help="Initial weight of deep supervision of a convolutional pose model; 0 for none. Default: 0.01.",
    ),
    click.option(
        "--integral-gradient",
        type=click.Choice(["code", "paper"]),
        help="Amplitude of the gradient of -integral pose models: AlphaPose's code (2, the default) or its paper "
        "(1/8 of the map).",
    ),
    section="Optimization",
)
network_options = together(
    click.option(
        "--input", "input_wh", callback=_wh, help="Input size WxH. Default: the student's usual."
    ),
    click.option(
        "--init",
        default="",
        help="Checkpoint to start from: as far as it fits, of another size or a bare backbone too.",
    ),
    section="Network",
)
data_options = together(
    click.option(
        "--data",
        multiple=True,
        default=["synth"],
        show_default=True,
        help="COCO.json, DIR, synth or synth-v2 (drawn people), each with an optional :WEIGHT, or all with a :SHARE%; "
        "repeat for several.",
    ),
    click.option("--images", default="", help="Directory of the images that COCO.json lists."),
    click.option(
        "--category",
        default="",
        help="Category of the people in COCO.json, by name or id. Default: person, or the only one with keypoints.",
    ),
    click.option(
        "--data-licence",
        default="",
        help="Licence of the data that states none, such as CC-BY-4.0, or `own` for your own pictures. COCO.json: its "
        "`licenses`. Default: unknown.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1),
        help="Data loading threads. Default: 1; on a GPU one a core, at most 16.",
    ),
    section="Data",
)
length_options = together(
    setting(["--epochs"], click.IntRange(1), 10, "Passes over the data."),
    click.option(
        "--max-steps",
        "steps",
        type=click.IntRange(1),
        help="Optimizer steps, in place of --epochs. With --resume also more than the run had.",
    ),
    setting(["--accumulate"], click.IntRange(1), 1, "Batches in an optimizer step."),
    setting(["--precision"], click.Choice(PRECISIONS), "f32", "Arithmetic of training."),
    setting(["--seed"], click.IntRange(0), 0, "Seed of everything random."),
    section="Length",
)
optimizer_options = together(
    click.option(
        "--weight-decay",
        type=FiniteRange(0),
        help="Weight decay. Default: the paper's for the student.",
    ),
    click.option(
        "--warmup-steps", type=click.IntRange(0), help="Steps of warm-up. Default: 5 % of all."
    ),
    setting(
        ["--lr-schedule"],
        click.Choice(["flat-cosine", "step"]),
        "flat-cosine",
        "Constant, then half a cosine (RTMPose); or a tenth at 81 % and at 95 % of the steps (ViTPose).",
    ),
    click.option(
        "--ema",
        type=FiniteRange(0, 1),
        help="Window of the weights' moving average as a share of all steps, 0 for none. Default: the paper's, or .05.",
    ),
    setting(
        ["--batch-norm"],
        click.Choice(["local", "sync"]),
        "local",
        "Statistics of each GPU's part of a batch, or of the whole batch.",
    ),
    section="Optimization",
)
layer_options = together(
    click.option(
        "--layer-decay",
        type=FiniteRange(0, 1, min_open=True),
        help="Factor on the learning rate from each layer to the one below. Default: the paper's with --init, else 1.",
    ),
    click.option(
        "--drop-path",
        type=FiniteRange(0, 1, max_open=True),
        help="Probability to skip a ViT's last block in training. Default: the paper's with --init, else 0.",
    ),
    click.option(
        "--freeze",
        multiple=True,
        type=click.Choice(["backbone", "attention", "ffn"]),
        help="Part that is not trained; repeat for several. Needs --init.",
    ),
    section="Optimization",
)
validation_options = together(
    click.option("--val", default="", help="COCO.json to validate on. Default: drawn people."),
    click.option("--val-images", default="", help="Directory of the images that --val lists."),
    click.option(
        "--validate-every",
        type=click.IntRange(1),
        help="Steps between validations. Default: as --save-every.",
    ),
    setting(["--keep"], click.Choice(["best", "last"]), "best", "Weights to write as the student."),
    setting(
        ["--patience"],
        click.IntRange(0),
        0,
        "Stop after this many validations without a better AP; 0 for never.",
    ),
    section="Validation",
)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """Directory and device of a training run, which its configuration does not hold."""

    device: Any
    out: Path
    resume: bool


def training_run_options(out: str) -> Decorator:
    """Return the options of a training run whose directory is `out` by default."""
    return together(
        setting(["--out"], PATH, Path(out), "Directory of the training run."),
        click.option(
            "--resume",
            is_flag=True,
            help="Resume the training run in --out, with its settings where none are given.",
        ),
        setting(["--save-every"], click.IntRange(1), 200, "Steps between saves of the state."),
        click.option(
            "--tensorboard",
            is_flag=True,
            help="Write TensorBoard events too (pip install edgepose[train]).",
        ),
        click.option(
            "--device",
            type=click.Choice(["cpu", "cuda"]),
            help="Default: a GPU where there is one.",
        ),
        section="Training run",
    )


def resumed(config: C, run: TrainingRun) -> C:
    """Return the configuration to train with: with --resume, the run's own but for the options that were given.

    Raises InputError where --out holds no run of this kind.
    """
    if not run.resume:
        return config
    from quantize.distill.loop.run_folder import check_student, read_config

    check_student(run.out, config.student)
    stored = read_config(run.out, type(config))
    ctx = click.get_current_context()
    given = {
        name: getattr(config, name)
        for name in config.__struct_fields__
        if ctx.get_parameter_source(PARAMETERS.get(name, name)) is ParameterSource.COMMANDLINE
    }
    if "epochs" in given:
        given.setdefault("steps", None)
    return msgspec.structs.replace(stored, **given)


def require_training(out: Path, *, tensorboard: bool) -> None:
    """Raise MissingDependencyError where a package for training is missing, InputError where `out` is not writable."""
    require_torch("distill")
    for module, package in PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(package, "distill")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise MissingDependencyError("tensorboard", "train")
    require_writable(out)


def is_first_process() -> bool:
    """Return whether this process reports: the only one, or torchrun's first."""
    return int(os.environ.get("RANK", "0")) == 0


def show_result(result: "TrainingResult[Metrics]", *, as_json: bool) -> None:
    """Print the student and its metrics, and hint at the export; torchrun's other processes print nothing."""
    if not is_first_process():
        return
    student, metrics = str(result.student), result.metrics
    if as_json:
        emit_json({"student": student, "steps": result.steps, **metrics.to_dict()})
    else:
        cells = [number(value) for value in metrics.table.values()]
        emit_table(["student", "steps", *metrics.table], [[student, str(result.steps), *cells]])
    say(f"wrote {student}; curves, log and checkpoint are beside it")
    hint(command_line("export", student, "--precision", "fp32,fp16"))
