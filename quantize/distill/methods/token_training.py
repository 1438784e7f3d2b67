"""The first of the token method's two phases: one vector trained on the frozen teacher, or read from where it lies."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import torch
from lightning_fabric import Fabric

from edge.schema import KeypointSchema
from quantize.distill.config import Recipe
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.data.patch_cache import Album
from quantize.distill.data.samples import Sampler
from quantize.distill.data.schedule import plan_course
from quantize.distill.data.sources import Crowd, remapped
from quantize.distill.losses.terms import Part, truth_term
from quantize.distill.methods.token import TokenCard, read_token, token_teacher, write_token
from quantize.distill.optimizer import Rates
from quantize.distill.teacher import Teacher
from quantize.distill.train import STATE, Settings, Step, new_learner, train

FILE = "token.safetensors"
FOLDER = "token"
# One vector of an otherwise frozen network: it bears, and needs, a high rate.
LR = 1e-2
WARMUP_STEPS = 10


def trained_token(
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    teacher: Teacher,
    crowd: Crowd,
    schema: KeypointSchema,
    heard: Callable[[Step, int], None],
) -> torch.Tensor:
    """Return the teacher's token (1, 1, C): from `recipe.token`, or trained, written into `folder` and kept.

    Raises CheckpointError for another teacher's token, InputError where the teacher is no PyTorch ViTPose.
    """
    if recipe.token:
        return read_token(Path(recipe.token), teacher)[0]
    path = folder / FILE
    if not path.exists():
        taught = token_teacher(teacher, recipe.seed)
        _train(
            recipe,
            folder / FOLDER,
            fabric,
            teacher,
            taught,
            _in_teachers_set(crowd, schema, teacher),
            heard,
        )
        if fabric.is_global_zero:
            card = TokenCard(
                teacher=teacher.identity,
                teacher_model=teacher.spec.model,
                steps=recipe.token_steps,
                licences=teacher.lineage.licences,
                commercial_use=teacher.lineage.commercial_use,
            )
            write_token(path, taught.module.backbone.token, card)
        fabric.barrier()
    return read_token(path, teacher)[0]


def _train(
    recipe: Recipe,
    folder: Path,
    fabric: Fabric,
    teacher: Teacher,
    taught: torch.nn.Module,
    crowd: Crowd,
    heard: Callable[[Step, int], None],
) -> None:
    folder.mkdir(exist_ok=True)
    spec = teacher.spec
    rates = Rates(LR, weight_decay=0.0, warmup_steps=WARMUP_STEPS)
    learner = new_learner(taught, rates)
    if (folder / STATE).exists():
        learner.load(folder / STATE)
    steps = recipe.token_steps
    course = plan_course(crowd.shares, msgspec.structs.replace(recipe, steps=steps))
    album = Album(crowd.people, spec.crop.padding)
    sampler = Sampler(album, teacher.schema, spec.crop, spec.image.wh, recipe.seed)
    batches = course.batches(sampler, learner.done, fabric, recipe.workers)
    settings = Settings(
        steps, rates, accumulate=recipe.accumulate, save_every=recipe.save_every, seed=recipe.seed
    )
    parts = {"truth": Part(truth_term(spec))}
    train(
        fabric,
        learner,
        parts,
        batches,
        spec.image,
        settings,
        folder,
        lambda step: heard(step, steps),
    )


def _in_teachers_set(crowd: Crowd, schema: KeypointSchema, teacher: Teacher) -> Crowd:
    """Return the people with the teacher's keypoints, as far as their labels name them."""
    if schema.names == teacher.schema.names:
        return crowd
    people = remapped(crowd.people, map_keypoints(schema, teacher.schema))
    return Crowd(tuple(people), crowd.shares)
