"""The Sapiens family (arXiv:2408.12569): sizes, heads and input sizes, read from tensors or from a name.

Keypoints are checked against the authors' mmpose fork; the dense heads (body parts, depth, normals) follow their mmseg
fork's configs and definitions and are unchecked. A size is a published name (`0.3b` to `2b`) or spells out channels,
blocks and heads (`192x6x3`); then `-head96` where the head is not as wide as its published ones.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.specs_sapiens import (
    CHANNELS,
    DOUBLINGS,
    PARTS_OF_COUNT,
    POSE_DOUBLINGS,
    SAPIENS_WH,
    sapiens_dense_spec,
    sapiens_pose_spec,
)
from export.models.checks import check_sides, keypoint_schema
from export.models.sapiens_network import DenseHead, HeadPlan, PoseHead, SapiensDense, SapiensPose
from export.models.vit import PADDING, PATCH, Vit, fits_positions
from export.models.vit_sizes import VitSize, parse_size, read_size, size_name
from export.registry import NO_HINTS, Hints, Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec, Task

PUBLISHED = {
    "0.3b": VitSize(1024, 24, 16),
    "0.6b": VitSize(1280, 32, 16),
    "1b": VitSize(1536, 40, 24),
    "2b": VitSize(1920, 48, 32),
}
HEAD = "-head"
POSE_MARK = "head.final_layer.weight"
DENSE_MARK = "decode_head.conv_seg.weight"
# Configs without `patch_cfg` have no padding; tensors do not show it. 1024x768 gives 64x48 patches either way.
UNPADDED: tuple[tuple[Task, int], ...] = (("depth", 1), ("segment", 28))
TASK_OF_CHANNELS = {count: task for task, count in CHANNELS.items()}
State = Mapping[str, torch.Tensor]
PLANS: dict[Task | None, HeadPlan] = {
    None: HeadPlan(POSE_DOUBLINGS, 2, 768),
    "segment": HeadPlan(DOUBLINGS["segment"], 3, 768),
    "normal": HeadPlan(DOUBLINGS["normal"], 3, 768),
    "depth": HeadPlan(DOUBLINGS["depth"], 2, 384),
}


def canonical(state: State, task: str | None) -> State | None:
    """Return the tensors as they are: the official names are those of our definition."""
    return state


def recognise(state: State, hints: Hints = NO_HINTS) -> Variant | None:
    """Read size, head and input size from the tensors; None where they are not Sapiens'.

    Raises CheckpointError where they are, but blocks or heads are not known, or fit no map.
    """
    prefix, mark = ("head", POSE_MARK) if POSE_MARK in state else ("decode_head", DENSE_MARK)
    shapes = {
        key: tuple(state[key].shape)
        for key in (mark, "backbone.pos_embed", f"{prefix}.conv_layers.0.weight")
        if key in state
    }
    normed = {f"{prefix}.deconv_layers.1.weight", f"{prefix}.conv_layers.1.weight"}
    if len(shapes) < 3 or normed & state.keys() or [*map(len, shapes.values())] != [4, 3, 4]:
        return None
    outputs, (_, tokens, dim), (channels, *_) = shapes.values()
    dense = None if mark == POSE_MARK else TASK_OF_CHANNELS.get(outputs[0], "segment")
    size = size_name(read_size("sapiens", state, dim, PUBLISHED, hints), PUBLISHED)
    if channels != PLANS[dense].channels:
        size += f"{HEAD}{channels}"
    input_wh = _input_wh(size, tokens, hints.input_wh)
    variant = Variant("sapiens", size, input_wh, dense=dense)
    if dense is None:
        return replace(variant, schema=keypoint_schema(outputs[0]))
    return replace(variant, classes=_classes(size, dense, outputs[0]))


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    size, plan = _plan(variant)
    padding = 0 if (variant.dense, _channels(variant)) in UNPADDED else PADDING
    backbone = Vit(size, variant.input_wh, padding=padding)
    if variant.dense is None:
        return SapiensPose(backbone, PoseHead(size.dim, plan, variant.keypoint_count))
    return SapiensDense(backbone, DenseHead(size.dim, plan, _channels(variant)))


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    if variant.dense is None:
        return sapiens_pose_spec(model, variant.input_wh, variant.schema or "coco17")
    return sapiens_dense_spec(model, variant.input_wh, variant.dense, variant.classes)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless its sides are multiples of 16.

    The positions of a loaded network are interpolated (`export.models.vit.at_input`).
    """
    check_sides("sapiens", input_wh, PATCH)
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return every size with keypoints, and the smallest with each map, to name the nearest of an unrecognised file."""
    poses = (Variant("sapiens", size, SAPIENS_WH, schema="coco17") for size in PUBLISHED)
    maps = (
        Variant("sapiens", "0.3b", SAPIENS_WH, classes=_classes("0.3b", task, 28), dense=task)
        for task in DOUBLINGS
    )
    return (*poses, *maps)


def _plan(variant: Variant) -> tuple[VitSize, HeadPlan]:
    """Return the backbone and the head that a size means; raises CheckpointError for one that means nothing."""
    plan = PLANS[variant.dense]
    backbone, _, channels = variant.size.partition(HEAD)
    size = parse_size(backbone, PUBLISHED)
    if size is None or (channels and not channels.isdecimal()) or channels == "0":
        raise CheckpointError(
            f"sapiens has no size {variant.size!r}; known are {', '.join(PUBLISHED)}"
        )
    return size, replace(plan, channels=int(channels)) if channels else plan


def _channels(variant: Variant) -> int:
    return len(variant.classes) or (CHANNELS[variant.dense] if variant.dense else 0)


def _input_wh(size: str, tokens: int, hinted: tuple[int, int] | None) -> tuple[int, int]:
    """Return the input size with `tokens` patches: the hinted one, else of aspect 3:4, the only published one."""
    if hinted is not None and fits_positions(hinted, tokens):
        return hinted
    unit = math.isqrt(tokens // 12)
    if not tokens or 12 * unit * unit != tokens:
        raise CheckpointError(
            f"looks like sapiens-{size}, but {tokens} positions are no grid of aspect 3:4; "
            "give --input WxH, the size that it was trained at"
        )
    return 48 * unit, 64 * unit


def _classes(size: str, task: Task, channels: int) -> tuple[str, ...]:
    if task != "segment":
        return ()
    if channels not in PARTS_OF_COUNT:
        raise CheckpointError(
            f"looks like sapiens-{size}, but gives {channels} maps; known are 1 (depth), 3 (normals), "
            f"{', '.join(f'{count} (body parts)' for count in PARTS_OF_COUNT)}"
        )
    return PARTS_OF_COUNT[channels]
