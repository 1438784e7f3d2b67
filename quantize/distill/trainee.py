"""A student as it is trained: the network with whatever stands around it, the parts of its loss, and the way back.

Which method adds what is decided here; how long and on whom, elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from edge.schema import KeypointSchema
from export import load_checkpoint
from export.registry import Variant, load_family
from quantize.distill.lessons import Lessons
from quantize.distill.recipe import Recipe
from quantize.distill.student import new_student, student_spec
from quantize.distill.teachers import Teacher
from quantize.distill.terms import Part, TaughtMaps, taught_term, truth_term
from quantize.distill.token import give_token, settled
from quantize.distill.transfer import map_keypoints
from runtimes.errors import InputError
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Trainee:
    """What is trained, by which parts, and `finish`: a trained state dict to the bare network, ready to be written."""

    module: nn.Module
    parts: Mapping[str, Part]
    finish: Callable[[Mapping[str, torch.Tensor]], nn.Module]


@dataclass(frozen=True, slots=True)
class Help:
    """What a student is helped by: labels or none, a teacher, its lessons, its token (1, 1, C)."""

    labelled: bool
    teacher: Teacher | None = None
    lessons: Lessons | None = None
    token: torch.Tensor | None = None


def make_trainee(recipe: Recipe, variant: Variant, schema: KeypointSchema, given: Help) -> Trainee:
    """Return the trainee of a recipe's methods; raises InputError where nothing is left to learn from."""
    spec = student_spec(variant, "student")
    parts = {"truth": Part(truth_term(spec))} if given.labelled else {}
    module: Any = begun(recipe, variant)
    finish = _plain(variant)
    if given.token is not None:
        give_token(module, given.token)
        finish = _tokened(variant, given.token.shape[2])
    if given.lessons is not None and given.teacher is not None:
        keypoints = map_keypoints(given.teacher.schema, schema)
        taught = TaughtMaps(given.lessons, keypoints, schema)
        parts["heatmap"] = Part(
            taught_term(spec, taught), recipe.teacher_share, recipe.teacher_share
        )
    if not parts:
        raise InputError(
            "nobody in --data has a label, and the method asks no teacher: nothing can be learned"
        )
    # convolutions over interleaved channels learn half as fast again on CPUs, and crops come that way
    module.to(memory_format=torch.channels_last)
    return Trainee(module.train(), parts, finish)


def begun(recipe: Recipe, variant: Variant) -> nn.Module:
    """Return the student before its first step: fresh from the seed, or as `init` left it."""
    module = new_student(variant, recipe.seed)
    if recipe.init:
        loaded = load_checkpoint(recipe.init)
        if loaded.variant != variant:
            raise InputError(
                f"--init {recipe.init} holds {loaded.family}-{loaded.size} for {loaded.variant.input_wh}, the student "
                f"is {variant.family}-{variant.size} for {variant.input_wh}; give a checkpoint of the same network"
            )
        module.load_state_dict(loaded.module.state_dict())
    return module


def _plain(variant: Variant) -> Callable[[Mapping[str, torch.Tensor]], nn.Module]:
    def finish(state: Mapping[str, torch.Tensor]) -> nn.Module:
        module: nn.Module = load_family(variant.family).build(variant)
        module.load_state_dict(state)
        return module.eval()

    return finish


def _tokened(variant: Variant, theirs: int) -> Callable[[Mapping[str, torch.Tensor]], nn.Module]:
    def finish(state: Mapping[str, torch.Tensor]) -> nn.Module:
        module: nn.Module = settled(variant, state, theirs)
        return module.eval()

    return finish


def spec_of(variant: Variant) -> ModelSpec:
    """Return what the student takes and gives."""
    return student_spec(variant, "student")
