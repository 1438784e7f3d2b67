"""edgepose train: a detector, or a pose model without a teacher, top-down or bottom-up, ready for `edgepose export`."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edge.cli.options import json_option, together
from edge.cli.progress import phases
from edge.cli.training import (
    POSITIVE,
    TrainingRun,
    augment_options,
    data_options,
    extra_head_option,
    is_first_process,
    layer_options,
    length_options,
    network_options,
    optimizer_options,
    pose_loss_options,
    require_training,
    resumed,
    show_result,
    training_run_options,
    validation_options,
)
from edge.cli.verb import Verb
from quantize.distill.bottom_up.config import BottomUpConfig, is_bottom_up
from quantize.distill.config import DistillConfig
from quantize.distill.detector.config import DetectorConfig, is_detector
from runtimes.errors import InputError

if TYPE_CHECKING:
    from quantize.distill.loop.job import Metrics, TrainingResult

DEFAULT_KEYPOINTS = "coco17"
# Options that only a top-down pose model has, and those that a detector lacks.
TOP_DOWN_ONLY = (
    *("extra_head", "layer_decay", "drop_path", "freeze", "deep_supervision"),
    *("augment", "weak_share", "jitter", "jitter_start", "integral_gradient"),
)
POSE_ONLY = ("keypoints", *TOP_DOWN_ONLY)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options that a configuration is made of; None for the default of the student's kind."""

    student: str
    keypoints: str | None
    extra_head: tuple[str, ...]
    input_wh: tuple[int, int] | None
    init: str
    data: tuple[str, ...]
    images: str
    category: str
    data_licence: str
    workers: int | None
    drawn: int | None
    batch: int | None
    lr: float | None
    epochs: int
    steps: int | None
    accumulate: int
    precision: Any
    seed: int
    weight_decay: float | None
    warmup_steps: int | None
    lr_schedule: Any
    ema: float | None
    save_every: int
    validate_every: int | None
    patience: int
    keep: Any
    val: str
    val_images: str
    batch_norm: Any
    tensorboard: bool
    layer_decay: float | None
    drop_path: float | None
    freeze: tuple[Any, ...]
    augment: Any
    weak_share: float | None
    jitter: Any
    jitter_start: float | None
    integral_gradient: Any
    deep_supervision: float | None

    def config(self) -> DetectorConfig | BottomUpConfig | DistillConfig:
        """Return the configuration of the student's kind; raises InputError for an option of another kind."""
        given = {name: value for name, value in asdict(self).items() if value not in {None, ()}}
        if is_detector(self.student):
            _refuse(POSE_ONLY, given, "pose models", "a detector")
            return msgspec.convert(given, DetectorConfig)
        given["schema"] = given.pop("keypoints", DEFAULT_KEYPOINTS)
        if is_bottom_up(self.student):
            _refuse(TOP_DOWN_ONLY, given, "top-down pose models", "a bottom-up one")
            return msgspec.convert(given, BottomUpConfig)
        given["methods"] = ("none",)
        stored = {each.name: each.encode_name for each in msgspec.structs.fields(DistillConfig)}
        return msgspec.convert(
            {stored[name]: value for name, value in given.items()}, DistillConfig
        )


def _refuse(names: tuple[str, ...], given: dict[str, Any], owners: str, student: str) -> None:
    """Raise InputError for the first of `names` that is given: it is for `owners`, and the student is another."""
    wrong = next((name for name in names if name in given), None)
    if wrong is not None:
        flag = wrong.replace("_", "-")
        raise InputError(f"--{flag} is for {owners}; leave it out to train {student}")


train_options = together(
    click.option(
        "--student",
        required=True,
        help="A detector (rtmdet-nano, ...), a top-down pose model (rtmpose-t, cspnext-t-fpn, ...) or a bottom-up one "
        "(cspnext-t-fpn-ae, ...).",
    ),
    click.option("--keypoints", help="Keypoint set of a pose model. Default: coco17."),
    extra_head_option,
    section="Network",
)
drawn_option = together(
    click.option(
        "--drawn",
        type=click.IntRange(1),
        help="Number of drawn pictures, for synth and synth-v2. Default: 5000 for detectors, else 2000.",
    ),
    section="Data",
)
batch_options = together(
    click.option(
        "--batch",
        type=click.IntRange(1),
        help="Batch size over all processes. Default: 16 pictures for detectors and bottom-up models, else 32 crops.",
    ),
    click.option(
        "--lr",
        type=POSITIVE,
        help="Learning rate. Default: for 16 pictures a step 2e-3 (detectors) or 1e-3 (bottom-up models), for 32 crops "
        "1e-3, with the square root of their number.",
    ),
    section="Optimization",
)


@click.command("train", cls=Verb)
@train_options
@network_options
@data_options
@drawn_option
@augment_options
@length_options
@batch_options
@pose_loss_options
@optimizer_options
@layer_options
@validation_options
@training_run_options("trained")
@json_option
def command(options: TrainOptions, run: TrainingRun, as_json: bool) -> int:
    """Train a detector or a pose model on labels: of drawn people, photographs, or both.

    For a pose model with a teacher: edgepose distill.
    On several processes or machines: torchrun --no-python --nproc-per-node N edgepose train ...
    """
    config = options.config()
    require_training(run.out, tensorboard=options.tensorboard)
    config = resumed(config, run)
    from quantize.distill.bottom_up.runner import train_bottom_up
    from quantize.distill.detector.runner import train_detector
    from quantize.distill.runner import train_student

    result: TrainingResult[Metrics]
    with phases(quiet=not is_first_process()) as listener:
        if isinstance(config, DetectorConfig):
            result = train_detector(config, run.out, listener, device=run.device, resume=run.resume)
        elif isinstance(config, BottomUpConfig):
            result = train_bottom_up(
                config, run.out, listener, device=run.device, resume=run.resume
            )
        else:
            result = train_student(config, run.out, listener, device=run.device, resume=run.resume)
    show_result(result, as_json=as_json)
    return 0
