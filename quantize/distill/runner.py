"""A complete distillation: training set, teacher, token, training, validation, and the student's file.

Everything is in one folder: recipe.json (the configuration), init.json (what was taken of `--init`), state.pt and
log.csv, marks.csv (metrics on the validation set), best.safetensors, lessons/ (the teacher cache), token.safetensors,
and at the end student.safetensors, curves.png and result.json.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_fabric import Fabric
from torch import nn

from edge.catalog.keypoint_file import find_keypoints
from edge.evaluation.dataset import Dataset
from edge.schema import SCHEMAS, KeypointSchema
from export.registry import Variant
from quantize.distill.assembly import (
    Supervision,
    assemble,
    check_sharding,
    check_teacher,
    shard_online_teacher,
    with_label_sigma,
)
from quantize.distill.card import student_card
from quantize.distill.config import DistillConfig, check_methods, check_supervision
from quantize.distill.data.batches import Batch
from quantize.distill.data.instances import Instance
from quantize.distill.data.joined_keypoints import extra_heads, joined_keypoints
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from quantize.distill.data.schedule import plan_batches
from quantize.distill.data.sources import (
    TrainingSet,
    labelled_part,
    load_training_set,
)
from quantize.distill.defaults import with_defaults
from quantize.distill.loop.distributed import (
    Device,
    check_batch,
    close_fabric,
    loader_threads,
    open_fabric,
    processes_of,
)
from quantize.distill.loop.errors import translate_training_errors, translate_write_errors
from quantize.distill.loop.job import TrainingJob, TrainingResult, run_job
from quantize.distill.loop.optimizer import LrSchedule, average_of
from quantize.distill.loop.progress import ProgressListener, step_reporter
from quantize.distill.loop.run_folder import INIT, check_run_folder, write_config, write_json
from quantize.distill.loop.train import TrainSettings
from quantize.distill.methods.token import token_variant
from quantize.distill.methods.token_training import load_or_train_token
from quantize.distill.network_parts import check_parts
from quantize.distill.pose_task import PoseTask
from quantize.distill.pretrained import check_init
from quantize.distill.student import student_spec, student_variant
from quantize.distill.teachers.cache import (
    TeacherCache,
    build_teacher_cache,
    cached_map_wh,
    check_teacher_cache,
)
from quantize.distill.teachers.teacher import Teacher, open_teacher
from quantize.distill.validation import PoseMetrics, validate, validation_set

TEACHER_CACHE = "lessons"
WARMUP_SHARE = 0.05
LABELS_ALONE = {"none", "token"}  # methods in which the teacher says nothing about a person


@dataclass(frozen=True, slots=True)
class Setup:
    """The checked inputs of a run, before any long work starts."""

    config: DistillConfig
    folder: Path
    fabric: Fabric
    variant: Variant
    schema: KeypointSchema
    teacher: Teacher | None
    training_set: TrainingSet
    validation: Dataset
    patch_cache: PatchCache
    listener: ProgressListener


def train_student(
    config: DistillConfig,
    folder: Path,
    listener: ProgressListener,
    *,
    device: Device | None = None,
    sharded_teacher: bool = False,
    resume: bool = False,
) -> TrainingResult[PoseMetrics]:
    """Train the configured student in `folder`, or resume there.

    sharded_teacher: shard the teacher's weights over the processes. Under torchrun every process calls this. Raises
    InputError and ArtifactError for input that does not fit, before any long work and with nothing written;
    TrainingError where training cannot continue.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    with translate_training_errors(processes):
        if sharded_teacher:
            check_sharding(config, processes)
        setup = _prepare(config, folder, listener, device, resume=resume)
        if sharded_teacher:
            shard_online_teacher(config, setup.teacher, setup.fabric)
        with translate_write_errors(folder):
            supervision = _supervision(setup)
        result = run_job(_job(setup, supervision), folder, setup.fabric, listener, resume=resume)
        close_fabric(setup.fabric)
    return result


def _prepare(
    config: DistillConfig,
    folder: Path,
    listener: ProgressListener,
    device: Device | None,
    *,
    resume: bool,
) -> Setup:
    check_methods(config)
    own = find_keypoints(config.schema)
    known = config.schema in SCHEMAS
    variant = student_variant(config.student, config.input_wh, config.schema if known else own)
    schema = joined_keypoints(own, extra_heads(config.extra_head))

    def fill(some: DistillConfig) -> DistillConfig:
        return with_defaults(some, variant.family, variant.size)

    config = fill(config)
    check_parts(config, variant)
    taken = check_init(config, variant)
    check_run_folder(folder, config, resume=resume, fill=fill)
    if "token" in config.methods:
        variant = token_variant(variant)
    teacher = None
    if config.teacher:
        teacher = open_teacher(
            config.teacher,
            config.teacher_weights,
            task=config.teacher_task,
            heads=config.teacher_heads,
            keypoints=find_keypoints(config.teacher_keypoints)
            if config.teacher_keypoints
            else None,
        )
        check_teacher(config, variant, schema, teacher)
        _check_cache(config, folder, variant, schema, teacher)
    variant = with_label_sigma(variant, config, teacher)
    fabric = open_fabric(device, config.precision, config.batch_norm)
    check_batch(config.batch, fabric)
    with fabric.rank_zero_first():
        listener.phase("training set", 0)
        # annotations are read before people are drawn or detected, which takes minutes
        annotated = _validation_set(config, own) if config.val else None
        people = _training_set(config, own, listener)
        validation = annotated or _validation_set(config, own)
        if teacher:
            _check_cache(config, folder, variant, schema, teacher, people.instances)
        if fabric.is_global_zero:
            write_config(folder, config)
        if taken is not None and fabric.is_global_zero:
            write_json(folder / INIT, taken)
            listener.say(f"--init {config.init}: {taken.summary}")
    patches = PatchCache(people.instances, student_spec(variant, "student").crop.padding)
    return Setup(
        config, folder, fabric, variant, schema, teacher, people, validation, patches, listener
    )


def _validation_set(config: DistillConfig, schema: KeypointSchema) -> Dataset:
    return validation_set(config.val or "", config.val_images or "", schema, config.category)


def _check_cache(
    config: DistillConfig,
    folder: Path,
    variant: Variant,
    schema: KeypointSchema,
    teacher: Teacher,
    people: Sequence[Instance] | None = None,
) -> None:
    """Raise where the teacher cache is another teacher's, or of other views, keypoints or, where given, people."""
    if "heatmap" in config.methods:
        map_wh = cached_map_wh(teacher.spec.image.wh, variant.input_wh)
        check_teacher_cache(_cache_folder(config, folder), teacher, people, schema, map_wh)


def _training_set(
    config: DistillConfig, schema: KeypointSchema, listener: ProgressListener
) -> TrainingSet:
    """Return the people to train on, and report how many have no labels: only a teacher can supervise those."""
    people = load_training_set(
        config.data,
        schema,
        config.drawn,
        config.images or None,
        config.category or None,
        config.detector,
        extra_heads(config.extra_head),
    )
    check_supervision(config, labelled=people.labelled)
    unlabelled, total = people.unlabelled, len(people.instances)
    if unlabelled and set(config.methods) <= LABELS_ALONE:
        people = labelled_part(people)
        listener.say(
            f"training set: {total - unlabelled} people with labels; {unlabelled} without a labelled keypoint are left "
            f"out, since --method {','.join(config.methods)} learns from labels alone"
        )
    elif unlabelled:
        listener.say(
            f"training set: {total} people, {unlabelled} of them without a labelled keypoint, supervised by the "
            "teacher alone"
        )
    return people


def _supervision(setup: Setup) -> Supervision:
    """Return what the methods need of the teacher: its token, its cached heatmaps."""
    config, teacher = setup.config, setup.teacher
    supervision = Supervision(setup.training_set.labelled, teacher)
    if teacher is None:
        return supervision
    if "token" in config.methods:
        token = load_or_train_token(
            config,
            setup.folder,
            setup.fabric,
            teacher,
            setup.training_set,
            setup.schema,
            step_reporter(setup.listener, "token"),
        )
        supervision = replace(supervision, token=token)
    if "heatmap" in config.methods:
        supervision = replace(supervision, teacher_cache=_teacher_cache(setup, teacher))
    return supervision


def _teacher_cache(setup: Setup, teacher: Teacher) -> TeacherCache:
    listener = setup.listener
    listener.phase("teacher", len(setup.patch_cache))
    if teacher.module is not None:
        teacher.module.to(setup.fabric.device)
    built = build_teacher_cache(
        _cache_folder(setup.config, setup.folder),
        teacher,
        setup.patch_cache,
        setup.schema,
        cached_map_wh(teacher.spec.image.wh, setup.variant.input_wh),
        lambda done, _: listener.advance(done, "running the teacher"),
        processes_of(setup.fabric),
        loader_threads(setup.config.workers, setup.fabric),
    )
    if teacher.module is not None:
        teacher.module.cpu()  # the student needs the GPU's memory
    return built


def _cache_folder(config: DistillConfig, folder: Path) -> Path:
    return Path(config.teacher_cache) if config.teacher_cache else folder / TEACHER_CACHE


def _job(setup: Setup, supervision: Supervision) -> TrainingJob[Batch, PoseMetrics]:
    config, training_set = setup.config, setup.training_set
    student = assemble(config, setup.variant, setup.schema, supervision)
    spec = student_spec(setup.variant, "student")
    schedule = plan_batches(training_set.slices, config)
    warmup = config.warmup_steps
    lr_schedule = LrSchedule(
        config.lr or 0.0,
        config.weight_decay or 0.0,
        warmup_steps=max(round(schedule.steps * WARMUP_SHARE), 1) if warmup is None else warmup,
        layer_decay=config.layer_decay or 1.0,
        course=config.lr_schedule,
    )
    sampler = Sampler(
        setup.patch_cache, setup.schema, spec.crop, setup.variant.input_wh, config.seed
    )
    task = PoseTask(spec.image, student.losses, student.route)
    workers = loader_threads(config.workers, setup.fabric)

    def evaluate(module: nn.Module) -> PoseMetrics:
        on_device = module.to(setup.fabric.device)
        return validate(on_device, spec, setup.validation, processes_of(setup.fabric))

    return TrainingJob(
        module=student.module,
        average=average_of(student.module, schedule.steps, config.ema),
        task=task,
        settings=TrainSettings(
            schedule.steps,
            lr_schedule,
            accumulate=config.accumulate,
            save_every=config.save_every,
            validate_every=config.validate_every or config.save_every,
            seed=config.seed,
        ),
        batches=lambda done: schedule.batches(sampler, done, setup.fabric, workers, task.prepare),
        extract=student.extract,
        evaluate=evaluate,
        card=student_card(config, setup.variant, setup.teacher),
        options=config,
        samples={"people": len(training_set.instances), "unlabelled": training_set.unlabelled},
    )
