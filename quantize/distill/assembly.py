"""A student as it is trained: the network with whatever stands around it, the parts of its loss, and the way back.

Which method adds what is decided here; how long and on whom, elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from edge.schema import KeypointSchema
from export import load_checkpoint
from export.models.vit import at_input
from export.registry import Variant, load_family
from quantize.distill.config import Recipe
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.distributed import shard_teacher
from quantize.distill.losses.simcc import simcc_parts
from quantize.distill.losses.terms import Part, TaughtMaps, taught_term, truth_term
from quantize.distill.methods.deep_supervision import GUIDED, guide_parts, guided, unguided
from quantize.distill.methods.feature import FirstOutputs, feature_parts, finished, with_features
from quantize.distill.methods.head import fresh_head, head_parts
from quantize.distill.methods.token import give_token, read_token, refuse_tokenless, settled
from quantize.distill.student import new_student, student_spec
from quantize.distill.teacher import Teacher
from quantize.distill.teacher_cache import Lessons
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

State = Mapping[str, torch.Tensor]
Finish = Callable[[State], nn.Module]


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained, by which parts, and `finish`: a trained state dict to the bare network, ready to be written."""

    module: nn.Module
    parts: Mapping[str, Part]
    finish: Finish


@dataclass(frozen=True, slots=True)
class Help:
    """What a student is helped by: labels or none, a teacher, its lessons, its token (1, 1, C)."""

    labelled: bool
    teacher: Teacher | None = None
    lessons: Lessons | None = None
    token: torch.Tensor | None = None


def check_pair(recipe: Recipe, variant: Variant, schema: KeypointSchema, teacher: Teacher) -> None:
    """Raise InputError where the teacher cannot teach this student by the recipe's methods, before anything long."""
    spec = student_spec(variant, "student")
    map_keypoints(teacher.schema, schema)
    if "token" in recipe.methods:
        refuse_tokenless(teacher)
        if recipe.token:
            read_token(Path(recipe.token), teacher)
    if "simcc" in recipe.methods:
        simcc_parts(teacher, spec, schema)
    if "feature" in recipe.methods:
        feature_parts(teacher, spec, schema)
    if "head" in recipe.methods:
        fresh_head(teacher, variant, recipe.seed)


def spread_teacher(recipe: Recipe, teacher: Teacher | None, fabric: Fabric) -> None:
    """Part a frozen teacher's weights among the processes, in place; raises InputError where that cannot be."""
    if teacher is None or teacher.module is None or not set(recipe.methods) <= {"simcc", "feature"}:
        raise InputError(
            "only a PyTorch teacher of the methods simcc and feature, asked at every step, can be spread over "
            "processes; leave --spread-teacher out"
        )
    shard_teacher(teacher.module, fabric)


def make_trainee(recipe: Recipe, variant: Variant, schema: KeypointSchema, given: Help) -> Trainee:
    """Return the trainee of a recipe's methods; raises InputError where they do not fit (see `check_pair`)."""
    spec = student_spec(variant, "student")
    if "head" in recipe.methods:
        return _head(recipe, variant, spec, _asked(given))
    parts = {"truth": Part(truth_term(spec))} if given.labelled else {}
    module: Any = begun(recipe, variant)
    if "feature" in recipe.methods:
        return _features(recipe, variant, schema, _asked(given), module, parts)
    finish = _plain(variant)
    if given.token is not None:
        give_token(module, given.token, recipe.seed)
        finish = _tokened(variant, given.token.shape[2])
    taught = None
    if given.lessons is not None:
        keypoints = map_keypoints(_asked(given).schema, schema)
        taught = TaughtMaps(given.lessons, keypoints, schema)
        share = recipe.teacher_share
        parts["heatmap"] = Part(taught_term(spec, taught), share, share)
    if "simcc" in recipe.methods:
        parts |= simcc_parts(_asked(given), spec, schema)
    if recipe.guide and variant.family in GUIDED:
        guides = guide_parts(spec, recipe.guide, taught, labelled=given.labelled)
        module = guided(module, len(schema), variant.input_wh)
        return _ready(module, _own_outputs(parts, spec) | guides, _without(finish, unguided))
    return _ready(module, parts, finish)


def _features(
    recipe: Recipe,
    variant: Variant,
    schema: KeypointSchema,
    teacher: Teacher,
    module: nn.Module,
    parts: dict[str, Part],
) -> Trainee:
    """DWPose's first stage: the labels' part sees the network's own outputs only."""
    spec = student_spec(variant, "student")
    wrapped = with_features(module, spec, teacher, recipe.seed)
    shown = _own_outputs(parts, spec) | feature_parts(teacher, spec, schema)
    return _ready(wrapped, shown, _without(_plain(variant), finished))


def _own_outputs(parts: Mapping[str, Part], spec: ModelSpec) -> dict[str, Part]:
    """Return parts that see the network's own outputs, of a module that gives more."""
    own = len(spec.outputs)
    return {name: replace(part, term=FirstOutputs(part.term, own)) for name, part in parts.items()}


def _without(finish: Finish, strip: Callable[[State], State]) -> Finish:
    """Return a finish for a state that holds more than the network's."""
    return lambda state: finish(strip(state))


def _head(recipe: Recipe, variant: Variant, spec: ModelSpec, teacher: Teacher) -> Trainee:
    """DWPose's second stage."""
    module = fresh_head(teacher, variant, recipe.seed)
    return _ready(module, head_parts(teacher, spec), _plain(variant))


def _ready(module: nn.Module, parts: Mapping[str, Part], finish: Finish) -> Trainee:
    # convolutions over interleaved channels learn half as fast again on CPUs, and crops come that way
    module.to(memory_format=torch.channels_last)
    return Trainee(module.train(), parts, finish)


def _asked(given: Help) -> Teacher:
    if given.teacher is None:
        raise InputError("this method needs a teacher: add --teacher MODEL")
    return given.teacher


def begun(recipe: Recipe, variant: Variant) -> nn.Module:
    """Return the student before its first step: fresh from the seed, or as `init` left it.

    Of an `init` for another input, or another number of keypoints, the backbone is taken and the head is fresh. Raises
    InputError for one of another family or size.
    """
    module: Any = new_student(variant, recipe.seed)
    if not recipe.init:
        return module
    loaded = load_checkpoint(recipe.init)
    if (loaded.family, loaded.size) != (variant.family, variant.size):
        raise InputError(
            f"--init {recipe.init} holds {loaded.family}-{loaded.size}, the student is "
            f"{variant.family}-{variant.size}; give a checkpoint of the same network"
        )
    if loaded.variant == variant:
        module.load_state_dict(loaded.module.state_dict())
        return module
    backbone = at_input(loaded.module, variant.input_wh).backbone
    module.backbone.load_state_dict(backbone.state_dict())
    return module


def _plain(variant: Variant) -> Finish:
    def finish(state: Mapping[str, torch.Tensor]) -> nn.Module:
        module: nn.Module = load_family(variant.family).build(variant)
        module.load_state_dict(state)
        return module.eval()

    return finish


def _tokened(variant: Variant, theirs: int) -> Finish:
    def finish(state: Mapping[str, torch.Tensor]) -> nn.Module:
        module: nn.Module = settled(variant, state, theirs)
        return module.eval()

    return finish
