"""The configuration of a distillation, and which of its settings go together."""

from typing import Literal, cast

import msgspec

from runtimes.errors import InputError
from runtimes.record import Record

# How a student is supervised besides the labels.
METHODS = {
    "none": "labels alone, no teacher",
    "heatmap": "the teacher's heatmaps (for a SimCC student their marginals)",
    "token": "a knowledge token, trained on the frozen teacher, among the student's patches",
    "simcc": "the teacher's SimCC outputs",
    "feature": "the teacher's last feature map and outputs, with fading weight (DWPose, first stage)",
    "head": "a new head on the student's own frozen backbone, taught by the old head (DWPose, second stage)",
}
Method = Literal["none", "heatmap", "token", "simcc", "feature", "head"]
Augment = Literal["strong", "weak", "gentle", "still"]
Precision = Literal["f32", "bf16", "f16"]
IntegralGradient = Literal["code", "paper"]


Kept = Literal["best", "last"]
BatchNorm = Literal["local", "sync"]
LrCourse = Literal["flat-cosine", "step"]
Part = Literal["backbone", "attention", "ffn"]


BATCH, LR, DRAWN = 32, 1e-3, 2000
# Format 1 (edgepose 0.1) averaged weights over a fixed number of steps, decayed all families' weights alike, and
# scaled SimCC's sigma with the input.
FORMAT = 2


class TrainingConfig(Record, frozen=True, kw_only=True):
    """Settings of a training run, of any task.

    student: the network's name. data: COCO.json, synth or synth-v2 (drawn people), each `:WEIGHT` to be seen more or
    less than once an epoch. images: the folder of COCO.json's images. category: of the people in it, empty for
    `person`. data_licence: of data that states none, see `data.licences`. drawn: number of drawn pictures of each
    version. val, val_images: a COCO.json to validate on and the folder of its images; drawn people where empty. None
    where the configuration of an older run does not say.
    init: a checkpoint to start from. steps: optimizer steps; None for `epochs` of the data. batch: samples per batch
    over all processes; a step takes `accumulate` batches. lr: None for the task's usual value.
    warmup_steps: None for 5 % of the steps. lr_schedule: see `loop.optimizer.LrSchedule`. validate_every: steps between
    validations, None for `save_every`. patience: validations without a better result after which training stops, 0 for
    never. keep: which weights become the student's file, those of the best validation or the last ones. batch_norm:
    statistics of each process's part of a batch, or of all parts (CUDA only). tensorboard: write TensorBoard events
    beside log.csv.
    """

    student: str
    data: tuple[str, ...] = ("synth",)
    images: str = ""
    category: str = ""
    data_licence: str = ""
    drawn: int = DRAWN
    val: str | None = None
    val_images: str | None = None
    input_wh: tuple[int, int] | None = None
    init: str = ""
    epochs: int = 10
    steps: int | None = None
    batch: int = BATCH
    accumulate: int = 1
    lr: float | None = None
    precision: Precision = "f32"
    seed: int = 0
    workers: int | None = None
    warmup_steps: int | None = None
    lr_schedule: LrCourse = "flat-cosine"
    save_every: int = 200
    validate_every: int | None = None
    patience: int = 0
    keep: Kept = "last"
    batch_norm: BatchNorm = "local"
    tensorboard: bool = False


class DistillConfig(TrainingConfig, frozen=True, kw_only=True):
    """Everything that decides the student of a distillation.

    teacher: an artifact's directory, a checkpoint, or a name (with `teacher_weights`); empty for none.
    teacher_keypoints: a SCHEMA.json or a known set, empty for what the teacher names. data: DIR of pictures too.
    detector: an artifact that finds the people in the pictures of a DIR; empty for one person who fills each. schema:
    the student's keypoints. extra_head: keypoint sets of further heads, for training alone. init: of the same network;
    of another input size, its backbone. token: a trained token file; empty to train one if needed. teacher_cache: a
    folder of teacher heatmaps shared between runs; empty for the run's own. batch: crops. heatmap_weight: of the loss
    against the teacher's heatmaps. deep_supervision: initial weight of the heatmaps at a convolutional student's inner
    maps, 0 for none. augment, jitter: see `data.augment`; still is none. ema: window of the weights' moving average as
    a share of the steps, 0 for no average. drop_path: probability that a sample skips the last transformer block's
    branches. freeze: parts of the network that are not trained. lr, weight_decay, layer_decay, ema and drop_path: None
    for the family's usual value (`defaults`).

    weak_share: share of the steps at the end with weak augmentation after strong; None for RTMPose's 30 of 420 epochs
    in runs of 100 epochs and more, a tenth in shorter ones. jitter_start: share of the steps before boxes are jittered
    (AlphaPose: 200 of 270 epochs). integral_gradient: amplitude of integral students' gradient, that of AlphaPose's
    code or of its paper.
    """

    format: int = FORMAT
    teacher: str = ""
    teacher_weights: str | None = None
    teacher_task: str | None = None
    teacher_heads: int | None = None
    teacher_keypoints: str = ""
    detector: str = ""
    methods: tuple[Method, ...] = ("heatmap",)
    schema: str = "coco17"
    extra_head: tuple[str, ...] = ()
    token: str = ""
    token_steps: int = 300
    teacher_cache: str = msgspec.field(default="", name="lessons")
    weight_decay: float | None = None
    layer_decay: float | None = None
    ema: float | None = None
    drop_path: float | None = None
    freeze: tuple[Part, ...] = ()
    heatmap_weight: float = msgspec.field(default=1.0, name="teacher_share")
    deep_supervision: float = msgspec.field(default=0.01, name="guide")
    augment: Augment = msgspec.field(default="strong", name="views")
    weak_share: float | None = None
    jitter: Literal["none", "detector"] = "none"
    jitter_start: float = 0.0
    integral_gradient: IntegralGradient = "code"


def parse_methods(text: str) -> tuple[Method, ...]:
    """Return the methods of a comma-separated list; raises InputError for an unknown one."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in METHODS]
    if unknown or not names:
        raise InputError(
            f"unknown method {', '.join(unknown) or repr(text)}; known: {', '.join(METHODS)}"
        )
    return tuple(dict.fromkeys(cast("list[Method]", names)))


def check_methods(config: DistillConfig) -> None:
    """Raise InputError for methods that exclude each other, or that lack a teacher."""
    methods, student = config.methods, config.student
    exclusive = [method for method in methods if method in {"none", "head", "feature"}]
    if exclusive and len(methods) > 1:
        raise InputError(
            f"{exclusive[0]} goes with no other method ({METHODS[exclusive[0]]}); leave the others out"
        )
    if methods != ("none",) and not config.teacher:
        raise InputError(f"--method {','.join(methods)} needs a teacher: add --teacher MODEL")
    if config.extra_head and not {*methods} <= {"none", "heatmap"}:
        raise InputError(
            f"--extra-head goes with the methods none and heatmap, not {','.join(methods)}; leave one of them out"
        )
    if config.extra_head and student.startswith("fastpose"):
        raise InputError(
            "--extra-head needs a network of a backbone and a head, and fastpose is not divided so; choose another "
            "student"
        )
    if {"head", "feature"} & {*methods} and student.startswith("fastpose"):
        raise InputError(
            f"the method {methods[0]} needs a network of a backbone and a head, and fastpose is not divided so; choose "
            "another student or another method"
        )
    if "token" in methods and not student.startswith("vitpose"):
        raise InputError(
            f"a knowledge token is added to a transformer's patches, and {student} has none; "
            "choose a vitpose student or another method"
        )


def check_supervision(config: DistillConfig, *, labelled: bool) -> None:
    """Raise InputError where the methods need labels and the data has none."""
    if labelled:
        return
    if config.methods == ("none",):
        raise InputError(
            "--data has no labels and there is no teacher, so nothing can be learned; add --teacher MODEL"
        )
    if "token" in config.methods and not config.token:
        raise InputError(
            "a knowledge token is trained on labels, and --data has none; give --token FILE"
        )
