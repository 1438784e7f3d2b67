"""edgepose train: a detector, or a pose model without a teacher, ready for `edgepose export`."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from edge.cli.options import json_option, together
from edge.cli.progress import phases
from edge.cli.training import (
    POSITIVE,
    TrainingRun,
    data_options,
    extra_head_option,
    is_first_process,
    layer_options,
    length_options,
    network_options,
    optimizer_options,
    require_training,
    resumed,
    show_result,
    training_run_options,
    validation_options,
)
from edge.cli.verb import Verb
from quantize.distill.config import DistillConfig
from quantize.distill.detector.config import DetectorConfig, is_detector
from runtimes.errors import InputError

if TYPE_CHECKING:
    from quantize.distill.loop.job import Metrics, TrainingResult

DEFAULT_KEYPOINTS = "coco17"
# Options that only a pose model has.
POSE_ONLY = (
    *("keypoints", "extra_head", "layer_decay", "drop_path", "freeze", "deep_supervision"),
    *("augment", "weak_share", "jitter", "jitter_start", "integral_gradient"),
)


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

    def config(self) -> DetectorConfig | DistillConfig:
        """Return a detector's or a pose model's configuration; raises InputError for an option of the other kind."""
        given = {name: value for name, value in asdict(self).items() if value not in {None, ()}}
        for_poses = [name for name in POSE_ONLY if name in given]
        keypoints = given.pop("keypoints", DEFAULT_KEYPOINTS)
        if not is_detector(self.student):
            given |= {"methods": ("none",), "schema": keypoints}
            stored = {each.name: each.encode_name for each in msgspec.structs.fields(DistillConfig)}
            return msgspec.convert(
                {stored[name]: value for name, value in given.items()}, DistillConfig
            )
        if for_poses:
            flag = for_poses[0].replace("_", "-")
            raise InputError(f"--{flag} is for pose models; leave it out to train a detector")
        return msgspec.convert(given, DetectorConfig)


train_options = together(
    click.option(
        "--student",
        required=True,
        help="A detector (rtmdet-nano, ...) or a pose model (rtmpose-t, cspnext-t-fpn, ...).",
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
    click.option(
        "--augment",
        type=click.Choice(["strong", "weak", "gentle", "still"]),
        help="Strength of a pose model's augmentation. Default: strong.",
    ),
    click.option(
        "--weak-share",
        type=click.FloatRange(0, 1),
        help="Share of the steps that ends a pose model's strong run with weak augmentation. "
        "Default: .1, of 100 epochs 30 / 420.",
    ),
    click.option(
        "--jitter",
        type=click.Choice(["none", "detector"]),
        help="Noise on a pose model's boxes, as of a detector. Default: none.",
    ),
    click.option(
        "--jitter-start",
        type=click.FloatRange(0, 1),
        help="Share of the steps before boxes are jittered. Default: 0; AlphaPose: .74.",
    ),
    section="Data",
)
batch_options = together(
    click.option(
        "--batch",
        type=click.IntRange(1),
        help="Pictures in a batch, over all processes. Default: 16 for detectors, else 32.",
    ),
    click.option(
        "--lr",
        type=POSITIVE,
        help="Learning rate. Default: 2e-3 for 16 pictures a step (detectors), 1e-3 for 32 crops, with the square root "
        "of their number.",
    ),
    click.option(
        "--deep-supervision",
        type=click.FloatRange(0),
        help="Initial weight of deep supervision of a convolutional pose model. Default: 0.01.",
    ),
    click.option(
        "--integral-gradient",
        type=click.Choice(["code", "paper"]),
        help="Amplitude of the gradient of -integral pose models: AlphaPose's code (2, the default) or its "
        "paper (1/8 of the map).",
    ),
    section="Optimization",
)


@click.command("train", cls=Verb)
@train_options
@network_options
@data_options
@drawn_option
@length_options
@batch_options
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
    from quantize.distill.detector.runner import train_detector
    from quantize.distill.runner import train_student

    val = (run.val, run.val_images)
    result: TrainingResult[Metrics]
    with phases(quiet=not is_first_process()) as listener:
        if isinstance(config, DetectorConfig):
            result = train_detector(
                config, run.out, listener, val=val, device=run.device, resume=run.resume
            )
        else:
            result = train_student(
                config, run.out, listener, val=val, device=run.device, resume=run.resume
            )
    show_result(result, as_json=as_json)
    return 0
