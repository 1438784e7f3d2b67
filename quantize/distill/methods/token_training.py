"""Training of the knowledge token on the frozen teacher: the first phase of the method `token`."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from lightning_fabric import Fabric

from edge.schema import KeypointSchema
from export.lineage import joined_terms
from quantize.distill.config import DistillConfig
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.data.licences import data_terms
from quantize.distill.data.patch_cache import PatchCache
from quantize.distill.data.samples import Sampler
from quantize.distill.data.schedule import plan_batches
from quantize.distill.data.sources import TrainingSet, convert_keypoints, labelled_part
from quantize.distill.loop.distributed import loader_threads
from quantize.distill.loop.optimizer import LrSchedule
from quantize.distill.loop.run_folder import STATE
from quantize.distill.loop.train import StepResult, TrainSettings, train
from quantize.distill.loop.train_state import new_train_state
from quantize.distill.losses.terms import WeightedLoss, label_loss
from quantize.distill.methods.token import TokenCard, read_token, token_teacher, write_token
from quantize.distill.pose_task import PoseTask
from quantize.distill.teachers.teacher import Teacher

FILE = "token.safetensors"
FOLDER = "token"
# One vector of an otherwise frozen network needs, and tolerates, a high learning rate.
LR = 1e-2
WARMUP_STEPS = 10


def load_or_train_token(
    config: DistillConfig,
    folder: Path,
    fabric: Fabric,
    teacher: Teacher,
    training_set: TrainingSet,
    schema: KeypointSchema,
    on_step: Callable[[StepResult, int], None],
) -> torch.Tensor:
    """Return the teacher's token (1, 1, C): from `config.token`, or trained and written into `folder`.

    on_step(step, total). Raises CheckpointError for another teacher's token, InputError unless the teacher is a PyTorch
    ViTPose.
    """
    if config.token:
        return read_token(Path(config.token), teacher)[0]
    path = folder / FILE
    if not path.exists():
        network = token_teacher(teacher, config.seed)
        own_set = _in_teachers_schema(labelled_part(training_set), schema, teacher)
        _train(config, folder / FOLDER, fabric, teacher, network, own_set, on_step)
        if fabric.is_global_zero:
            terms = [teacher.lineage, *data_terms(config.data, config.data_licence)]
            licences, commercial_use = joined_terms(terms)
            card = TokenCard(
                teacher=teacher.identity,
                teacher_model=teacher.spec.model,
                steps=config.token_steps,
                licences=licences,
                commercial_use=commercial_use,
            )
            write_token(path, network.module.backbone.token, card)
        fabric.barrier()
    return read_token(path, teacher)[0]


def _train(
    config: DistillConfig,
    folder: Path,
    fabric: Fabric,
    teacher: Teacher,
    network: torch.nn.Module,
    training_set: TrainingSet,
    on_step: Callable[[StepResult, int], None],
) -> None:
    folder.mkdir(exist_ok=True)
    spec = teacher.spec
    lr_schedule = LrSchedule(LR, weight_decay=0.0, warmup_steps=WARMUP_STEPS)
    state = new_train_state(network, lr_schedule)
    if (folder / STATE).exists():
        state.load(folder / STATE)
    steps = config.token_steps
    schedule = plan_batches(training_set.slices, msgspec.structs.replace(config, steps=steps))
    patch_cache = PatchCache(training_set.instances, spec.crop.padding)
    sampler = Sampler(patch_cache, teacher.schema, spec.crop, spec.image.wh, config.seed)
    task = PoseTask(spec.image, {"truth": WeightedLoss(label_loss(spec))})
    workers = loader_threads(config.workers, fabric)
    batches = schedule.batches(sampler, state.done, fabric, workers, task.prepare)
    settings = TrainSettings(
        steps, lr_schedule, accumulate=config.accumulate, save_every=config.save_every
    )
    train(fabric, state, task, batches, settings, folder, lambda step: on_step(step, steps))


def _in_teachers_schema(
    training_set: TrainingSet, schema: KeypointSchema, teacher: Teacher
) -> TrainingSet:
    """Return the people with the teacher's keypoints, as far as their labels include them."""
    if schema.names == teacher.schema.names:
        return training_set
    keypoints = map_keypoints(schema, teacher.schema)
    return TrainingSet(
        tuple(convert_keypoints(training_set.instances, keypoints)), training_set.slices
    )
