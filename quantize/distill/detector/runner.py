"""A complete training run of a detector: data, training, validation, and the detector's file.

The folder has the same files as a distillation's: recipe.json, state.pt, log.csv, marks.csv, best.safetensors,
and at the end student.safetensors, curves.png and result.json.
"""

import os
from dataclasses import replace
from pathlib import Path

import msgspec
from lightning_fabric import Fabric
from torch import nn

from edge.evaluation.dataset import Dataset, load_dataset
from edge.synth import DrawnVersion
from export import load_checkpoint
from export.registry import Variant, load_family
from quantize.distill.card import trained_card
from quantize.distill.data.batches import epoch_steps
from quantize.distill.data.sources import (
    DRAWN,
    DRAWN_VERSIONS,
    load_sources,
    with_shares,
)
from quantize.distill.defaults import scaled_lr
from quantize.distill.detector.config import BATCH, LR, DetectorConfig
from quantize.distill.detector.data import DetectionSet, detection_set
from quantize.distill.detector.network import detector_variant, new_detector
from quantize.distill.detector.scenes import draw_pictures
from quantize.distill.detector.schedule import DetectionBatch, DetectorSchedule, default_phases
from quantize.distill.detector.task import DetectorTask
from quantize.distill.detector.validation import BoxMetrics, validate_detector
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
from quantize.distill.loop.run_folder import check_run_folder, write_config
from quantize.distill.loop.train import TrainSettings
from runtimes.errors import InputError
from runtimes.files import cache_dir

TRAIN_SEED, VAL_SEED, VAL_PICTURES = 1, 101, 200
CLIP_NORM = 10.0
MAX_WARMUP_STEPS, WARMUP_SHARE = 100, 0.05


def train_detector(
    config: DetectorConfig,
    folder: Path,
    listener: ProgressListener,
    *,
    device: Device | None = None,
    resume: bool = False,
) -> TrainingResult[BoxMetrics]:
    """Train the configured detector in `folder`, or resume there.

    Under torchrun every process calls this. Raises InputError for input that does not fit, before any long work;
    TrainingError where training cannot continue.
    """
    with translate_training_errors(int(os.environ.get("WORLD_SIZE", "1"))):
        config = msgspec.structs.replace(config, lr=config.lr or default_lr(config))
        check_run_folder(folder, config, resume=resume)
        variant = detector_variant(config.student, config.input_wh)
        module = new_detector(variant, config.seed, config.init)
        fabric = open_fabric(device, config.precision, config.batch_norm)
        check_batch(config.batch, fabric)
        with fabric.rank_zero_first():
            # annotations are read before people are drawn, which takes minutes
            annotated = _annotated(config.val, config.val_images, config) if config.val else None
            images = load_images(config, listener)
            validation = annotated or drawn_set(listener, VAL_SEED, VAL_PICTURES)
            if fabric.is_global_zero:
                write_config(folder, config)
        job = _job(config, variant, module, images, validation, fabric)
        result = run_job(job, folder, fabric, listener, resume=resume)
        close_fabric(fabric)
    return result


def default_lr(config: DetectorConfig) -> float:
    """Return the learning rate for the pictures of a step."""
    return scaled_lr(LR, BATCH, config.batch * config.accumulate)


def load_images(config: DetectorConfig, listener: ProgressListener) -> DetectionSet:
    """Return the pictures of all sources; raises InputError for an unknown one, and where none shows a person."""

    def load(name: str) -> Dataset:
        if name in DRAWN_VERSIONS:
            return drawn_set(listener, TRAIN_SEED, config.drawn, DRAWN_VERSIONS[name])
        if Path(name).suffix == ".json":
            return _annotated(name, config.images, config)
        raise InputError(
            f"--data {name}: a detector learns from labelled boxes; give a COCO.json or `{DRAWN}` or "
            f"`{DRAWN}-v2`, optionally with :WEIGHT"
        )

    images = detection_set(load_sources(config.data, load))
    if not any(len(boxes) for boxes in images.boxes):
        raise InputError("--data has no person with a box, so nothing can be learned")
    return replace(images, slices=with_shares(config.data, images.slices))


def _annotated(path: str, images: str | None, config: DetectorConfig) -> Dataset:
    return load_dataset(path, images or None, config.category or None)


def drawn_set(
    listener: ProgressListener, seed: int, pictures: int, version: DrawnVersion = 1
) -> Dataset:
    """Return drawn pictures, rendered into the cache on the first call."""
    listener.phase("drawing", pictures)
    path = draw_pictures(
        cache_dir() / "scenes",
        seed,
        pictures,
        lambda done, _: listener.advance(done, "drawing"),
        version,
    )
    return load_dataset(path)


def detector_schedule(
    config: DetectorConfig, images: DetectionSet, variant: Variant
) -> DetectorSchedule:
    """Return the batch schedule of a configuration."""
    per_epoch = epoch_steps(images.slices, config.batch, config.accumulate)
    return DetectorSchedule(
        images,
        default_phases(variant.input_wh),
        config.batch,
        config.accumulate,
        config.steps or config.epochs * per_epoch,
        config.seed,
    )


def _job(
    config: DetectorConfig,
    variant: Variant,
    module: nn.Module,
    images: DetectionSet,
    validation: Dataset,
    fabric: Fabric,
) -> TrainingJob[DetectionBatch, BoxMetrics]:
    family = load_family(variant.family)
    spec = family.spec(variant, "student")
    schedule = detector_schedule(config, images, variant)
    workers = loader_threads(config.workers, fabric)
    warmup = min(MAX_WARMUP_STEPS, max(round(schedule.steps * WARMUP_SHARE), 1))
    if config.warmup_steps is not None:
        warmup = config.warmup_steps

    begun = [load_checkpoint(config.init).lineage] if config.init else []

    def extract(state: object) -> nn.Module:
        network: nn.Module = family.build(variant)
        network.load_state_dict(state)
        return network.eval()

    def evaluate(network: nn.Module) -> BoxMetrics:
        return validate_detector(network.to(fabric.device), spec, validation, processes_of(fabric))

    return TrainingJob(
        module=module,
        average=average_of(module, schedule.steps, config.ema),
        task=DetectorTask(spec.image, fabric),
        settings=TrainSettings(
            schedule.steps,
            LrSchedule(
                config.lr or LR, config.weight_decay, warmup_steps=warmup, course=config.lr_schedule
            ),
            accumulate=config.accumulate,
            clip_norm=CLIP_NORM,
            save_every=config.save_every,
            validate_every=config.validate_every or config.save_every,
            seed=config.seed,
        ),
        batches=lambda done: schedule.batches(done, fabric, workers),
        extract=extract,
        evaluate=evaluate,
        card=trained_card(config, variant, begun),
        options=config,
        samples={"pictures": len(images.paths)},
    )
