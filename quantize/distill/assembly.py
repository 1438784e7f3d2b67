"""Assembly of a student for training: the network with what its methods add, the losses, and the way back.

Which method adds what is decided here; data, length and optimization elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from edge.catalog.label_sigma import scaled_simcc_sigma
from edge.schema import KeypointSchema
from export.registry import Variant, load_family
from quantize.distill.config import DistillConfig, Part
from quantize.distill.data.batches import Batch
from quantize.distill.data.joined_keypoints import extra_heads
from quantize.distill.data.keypoint_transfer import map_keypoints
from quantize.distill.loop.distributed import ONE_PROCESS, shard_teacher
from quantize.distill.losses.simcc import simcc_losses
from quantize.distill.losses.terms import TeacherMaps, WeightedLoss, label_loss, teacher_map_loss
from quantize.distill.methods.deep_supervision import (
    SUPPORTED_FAMILIES,
    deep_supervision_losses,
    with_deep_supervision,
    without_deep_supervision,
)
from quantize.distill.methods.extra_heads import (
    add_heads,
    carry_heads,
    rows_of_heads,
)
from quantize.distill.methods.feature import (
    FirstOutputsLoss,
    feature_losses,
    with_feature_output,
    without_adapter,
)
from quantize.distill.methods.head import fresh_head, head_losses
from quantize.distill.methods.token import (
    add_token,
    apply_projection,
    check_token_teacher,
    read_token,
)
from quantize.distill.network_parts import add_drop_path, freeze
from quantize.distill.pretrained import start_from
from quantize.distill.student import new_student, student_spec
from quantize.distill.teachers.cache import TeacherCache
from quantize.distill.teachers.teacher import Teacher
from runtimes.codec_spec import SimCCCodec
from runtimes.errors import InputError
from runtimes.spec import ModelSpec

StateDict = Mapping[str, torch.Tensor]
Extract = Callable[[StateDict], nn.Module]
Route = Callable[[Batch], None]
Losses = dict[str, WeightedLoss]
NOT_SHARDED = (
    "only a PyTorch teacher of the methods simcc and feature, which run it at every step, can be sharded over "
    "processes; leave --shard-teacher out"
)


@dataclass(frozen=True, slots=True)
class AssembledStudent:
    """The module to train, its losses, and `extract`: from a trained state dict to the bare network in eval mode.

    route: see `PoseTask`.
    """

    module: nn.Module
    losses: Mapping[str, WeightedLoss]
    extract: Extract
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Supervision:
    """The supervision of a student: labels or none, a teacher, its cached heatmaps, its token (1, 1, C)."""

    labelled: bool
    teacher: Teacher | None = None
    teacher_cache: TeacherCache | None = None
    token: torch.Tensor | None = None


def check_teacher(
    config: DistillConfig, variant: Variant, schema: KeypointSchema, teacher: Teacher
) -> None:
    """Raise InputError where the teacher cannot teach this student by the configured methods, before long work."""
    spec = student_spec(variant, "student")
    map_keypoints(teacher.schema, schema)
    if "token" in config.methods:
        check_token_teacher(teacher)
        if config.token:
            read_token(Path(config.token), teacher)
    if "simcc" in config.methods:
        simcc_losses(teacher, spec, schema)
    if "feature" in config.methods:
        feature_losses(teacher, spec, schema)
    if "head" in config.methods:
        fresh_head(teacher, variant, config.seed)


def with_label_sigma(variant: Variant, config: DistillConfig, teacher: Teacher | None) -> Variant:
    """Return the variant with the sigma of the SimCC labels that the student learns, for its card."""
    codec = student_spec(variant, "student").codec
    if not isinstance(codec, SimCCCodec):
        return variant
    sigma = codec.sigma
    if config.format == 1:
        sigma = scaled_simcc_sigma(variant.input_wh)
    if "head" in config.methods and teacher and isinstance(teacher.spec.codec, SimCCCodec):
        sigma = teacher.spec.codec.sigma  # the new head learns the old one's outputs
    return replace(variant, simcc_sigma=sigma)


def check_sharding(config: DistillConfig, processes: int) -> None:
    """Raise InputError, before long work, where the methods run no teacher at every step, and for one process."""
    if not set(config.methods) <= {"simcc", "feature"}:
        raise InputError(NOT_SHARDED)
    if processes == 1:
        raise InputError(ONE_PROCESS)


def shard_online_teacher(config: DistillConfig, teacher: Teacher | None, fabric: Fabric) -> None:
    """Shard a frozen teacher's weights over the processes, in place; raises InputError where that is impossible."""
    check_sharding(config, fabric.world_size)
    if teacher is None or teacher.module is None:
        raise InputError(NOT_SHARDED)
    shard_teacher(teacher.module, fabric)


def assemble(
    config: DistillConfig, variant: Variant, schema: KeypointSchema, supervision: Supervision
) -> AssembledStudent:
    """Return the student of a configuration; raises InputError where its methods do not fit (see `check_teacher`)."""
    spec = student_spec(variant, "student")
    if "head" in config.methods:
        return _head_student(config, variant, spec, _teacher(supervision))
    losses = (
        {"truth": WeightedLoss(label_loss(spec, config.integral_gradient))}
        if supervision.labelled
        else {}
    )
    module: Any = initial_student(config, variant)
    if "feature" in config.methods:
        return _feature_student(config, variant, schema, _teacher(supervision), module, losses)
    extract, route = _extract_plain(variant), None
    if config.extra_head:
        further = extra_heads(config.extra_head)
        heads = add_heads(module, variant, further, config.seed)
        known = None
        if supervision.teacher_cache is not None:
            known = map_keypoints(_teacher(supervision).schema, schema).known
        route = rows_of_heads(heads, schema, further, known).choose
        extract = carry_heads(extract, variant, further)
    if supervision.token is not None:
        add_token(module, supervision.token, config.seed)
        extract = _extract_with_token(variant, supervision.token.shape[2])
    maps = None
    if supervision.teacher_cache is not None:
        keypoints = map_keypoints(_teacher(supervision).schema, schema)
        maps = TeacherMaps(supervision.teacher_cache, keypoints, schema)
        weight = config.heatmap_weight
        losses["heatmap"] = WeightedLoss(
            teacher_map_loss(spec, maps, config.integral_gradient), weight, weight
        )
    if "simcc" in config.methods:
        losses |= simcc_losses(_teacher(supervision), spec, schema)
    if config.deep_supervision and variant.family in SUPPORTED_FAMILIES:
        inner = deep_supervision_losses(
            spec, config.deep_supervision, maps, labelled=supervision.labelled
        )
        module = with_deep_supervision(module, len(schema), variant.input_wh, config.seed)
        losses = _on_own_outputs(losses, spec) | inner
        extract = _after(without_deep_supervision, extract)
    if config.drop_path:
        add_drop_path(module, config.drop_path)
    return replace(_assembled(module, losses, extract, config.freeze), route=route)


def initial_student(config: DistillConfig, variant: Variant) -> nn.Module:
    """Return the student before its first step: random weights drawn from the seed, and what fits of `init`.

    Raises InputError for an `init` that does not fit, see `start_from`.
    """
    module = new_student(variant, config.seed)
    if config.init:
        start_from(config.init, module, variant)
    return module


def _feature_student(
    config: DistillConfig,
    variant: Variant,
    schema: KeypointSchema,
    teacher: Teacher,
    module: nn.Module,
    losses: Losses,
) -> AssembledStudent:
    """Return the student of DWPose's first stage: the label loss sees the network's own outputs only."""
    spec = student_spec(variant, "student")
    wrapped = with_feature_output(module, spec, teacher, config.seed)
    joined = _on_own_outputs(losses, spec) | feature_losses(teacher, spec, schema)
    return _assembled(
        wrapped, joined, _after(without_adapter, _extract_plain(variant)), config.freeze
    )


def _head_student(
    config: DistillConfig, variant: Variant, spec: ModelSpec, teacher: Teacher
) -> AssembledStudent:
    """Return the student of DWPose's second stage."""
    module = fresh_head(teacher, variant, config.seed)
    return _assembled(module, head_losses(teacher, spec), _extract_plain(variant))


def _assembled(
    module: nn.Module, losses: Losses, extract: Extract, frozen: Sequence[Part] = ()
) -> AssembledStudent:
    # convolutions over interleaved channels train half as fast again on CPUs, and crops come that way
    module.to(memory_format=torch.channels_last)
    freeze(module.train(), frozen)
    return AssembledStudent(module, losses, extract)


def _on_own_outputs(losses: Losses, spec: ModelSpec) -> Losses:
    """Return losses of the network's own outputs, for a module that gives more."""
    own = len(spec.outputs)
    return {
        name: replace(each, loss=FirstOutputsLoss(each.loss, own)) for name, each in losses.items()
    }


def _teacher(supervision: Supervision) -> Teacher:
    if supervision.teacher is None:
        raise InputError("this method needs a teacher: add --teacher MODEL")
    return supervision.teacher


def _after(strip: Callable[[StateDict], StateDict], extract: Extract) -> Extract:
    """Return an extract for a state dict that holds more than the network's tensors."""
    return lambda state: extract(strip(state))


def _extract_plain(variant: Variant) -> Extract:
    def extract(state: StateDict) -> nn.Module:
        module: nn.Module = load_family(variant.family).build(variant)
        module.load_state_dict(state)
        return module.eval()

    return extract


def _extract_with_token(variant: Variant, teacher_width: int) -> Extract:
    def extract(state: StateDict) -> nn.Module:
        module: nn.Module = apply_projection(variant, state, teacher_width)
        return module.eval()

    return extract
