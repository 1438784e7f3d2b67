"""A complete training run of a bottom-up model: data, training, validation, and the model's file.

The folder has the same files as a distillation's: recipe.json, init.json (with --init), state.pt, log.csv, marks.csv,
best.safetensors, and at the end student.safetensors, curves.png and result.json.
"""

import os
from pathlib import Path

import msgspec
from lightning_fabric import Fabric
from torch import nn

from edge.catalog.keypoint_file import find_keypoints
from edge.evaluation.dataset import Dataset
from edge.schema import SCHEMAS, KeypointSchema
from export.registry import Variant, load_family
from quantize.distill.bottom_up.config import BATCH, LR, BottomUpConfig
from quantize.distill.bottom_up.data import PeopleSet, load_people
from quantize.distill.bottom_up.network import bottom_up_variant, new_bottom_up
from quantize.distill.bottom_up.schedule import BottomUpBatch, BottomUpSchedule, default_phases
from quantize.distill.bottom_up.task import BottomUpTask
from quantize.distill.bottom_up.validation import PeopleMetrics, validate_bottom_up
from quantize.distill.card import trained_card
from quantize.distill.data.batches import epoch_steps
from quantize.distill.defaults import default_optimization, scaled_lr
from quantize.distill.loop.distributed import (
    Device,
    check_batch,
    close_fabric,
    loader_threads,
    open_fabric,
    processes_of,
)
from quantize.distill.loop.errors import translate_training_errors
from quantize.distill.loop.job import TrainingJob, TrainingResult, run_job
from quantize.distill.loop.optimizer import LrSchedule, average_of
from quantize.distill.loop.progress import ProgressListener
from quantize.distill.loop.run_folder import INIT, check_run_folder, write_config, write_json
from quantize.distill.loop.train import TrainSettings
from quantize.distill.pretrained import init_lineage
from quantize.distill.student import student_spec
from quantize.distill.validation import validation_set

WARMUP_SHARE = 0.05


def train_bottom_up(
    config: BottomUpConfig,
    folder: Path,
    listener: ProgressListener,
    *,
    device: Device | None = None,
    resume: bool = False,
) -> TrainingResult[PeopleMetrics]:
    """Train the configured bottom-up model in `folder`, or resume there.

    Under torchrun every process calls this. Raises InputError for input that does not fit, before any long work;
    TrainingError where training cannot continue.
    """
    with translate_training_errors(int(os.environ.get("WORLD_SIZE", "1"))):
        schema = find_keypoints(config.schema)
        known = config.schema if config.schema in SCHEMAS else schema
        variant = bottom_up_variant(config.student, config.input_wh, known)
        config = with_defaults(config, variant)
        check_run_folder(folder, config, resume=resume)
        module, taken = new_bottom_up(variant, config.seed, config.init)
        fabric = open_fabric(device, config.precision, config.batch_norm)
        check_batch(config.batch, fabric)
        with fabric.rank_zero_first():
            listener.phase("training set", 0)
            # annotations are read before people are drawn, which takes minutes
            annotated = _validation_set(config, schema) if config.val else None
            people = load_people(
                config.data, schema, config.drawn, config.images or None, config.category or None
            )
            validation = annotated or _validation_set(config, schema)
            if fabric.is_global_zero:
                write_config(folder, config)
            if taken is not None and fabric.is_global_zero:
                write_json(folder / INIT, taken)
                listener.say(f"--init {config.init}: {taken.summary}")
        job = _job(config, variant, module, people, validation, fabric)
        result = run_job(job, folder, fabric, listener, resume=resume)
        close_fabric(fabric)
    return result


def _validation_set(config: BottomUpConfig, schema: KeypointSchema) -> Dataset:
    return validation_set(config.val or "", config.val_images or "", schema, config.category)


def with_defaults(config: BottomUpConfig, variant: Variant) -> BottomUpConfig:
    """Return the configuration with the family's usual values in place of None."""
    usual = default_optimization(variant.family, variant.size)
    lr = scaled_lr(LR, BATCH, config.batch * config.accumulate, usual.max_lr)
    decay, ema = config.weight_decay, config.ema
    return msgspec.structs.replace(
        config,
        lr=config.lr or lr,
        weight_decay=usual.weight_decay if decay is None else decay,
        ema=usual.ema if ema is None else ema,
    )


def _job(
    config: BottomUpConfig,
    variant: Variant,
    module: nn.Module,
    people: PeopleSet,
    validation: Dataset,
    fabric: Fabric,
) -> TrainingJob[BottomUpBatch, PeopleMetrics]:
    spec = student_spec(variant, "student")
    schedule = bottom_up_schedule(config, variant, people)
    workers = loader_threads(config.workers, fabric)
    warmup = config.warmup_steps
    lr_schedule = LrSchedule(
        config.lr or LR,
        config.weight_decay or 0.0,
        warmup_steps=max(round(schedule.steps * WARMUP_SHARE), 1) if warmup is None else warmup,
        course=config.lr_schedule,
    )

    def extract(state: object) -> nn.Module:
        network: nn.Module = load_family(variant.family).build(variant)
        network.load_state_dict(state)
        return network.eval()

    def evaluate(network: nn.Module) -> PeopleMetrics:
        on_device = network.to(fabric.device)
        return validate_bottom_up(on_device, spec, validation, processes_of(fabric))

    return TrainingJob(
        module=module,
        average=average_of(module, schedule.steps, config.ema),
        task=BottomUpTask(spec.image),
        settings=TrainSettings(
            schedule.steps,
            lr_schedule,
            accumulate=config.accumulate,
            save_every=config.save_every,
            validate_every=config.validate_every or config.save_every,
            seed=config.seed,
        ),
        batches=lambda done: schedule.batches(done, fabric, workers),
        extract=extract,
        evaluate=evaluate,
        card=trained_card(config, variant, [init_lineage(config.init)] if config.init else []),
        options=config,
        samples={"pictures": len(people.paths), "people": people.people},
    )


def bottom_up_schedule(
    config: BottomUpConfig, variant: Variant, people: PeopleSet
) -> BottomUpSchedule:
    """Return the batch schedule of a configuration."""
    spec = student_spec(variant, "student")
    per_epoch = epoch_steps(people.slices, config.batch, config.accumulate)
    return BottomUpSchedule(
        people,
        default_phases(variant.input_wh),
        config.batch,
        config.accumulate,
        config.steps or config.epochs * per_epoch,
        config.seed,
        spec.crop,
        variant.input_wh[1] // spec.outputs[0].shape[2],
    )
