"""Sapiens (arXiv:2408.12569): a plain vision transformer under one kind of head, for keypoints or for dense maps.

Keypoints are checked against the authors' mmpose fork; the dense heads (body parts, depth, normals) follow their mmseg
fork's configs and definitions and are unchecked. State dict keys are the authors' own. The head's norms are instance
norms, which have no parameters: a checkpoint shows no trace of them, though its configs read like batch norm's.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from edge.catalog.specs import SCHEMA_OF_COUNT
from edge.catalog.specs_sapiens import (
    CHANNELS,
    DOUBLINGS,
    PARTS_OF_COUNT,
    POSE_DOUBLINGS,
    SAPIENS_WH,
    sapiens_dense_spec,
    sapiens_pose_spec,
)
from export.models.vit import PADDING, PATCH, Vit, Width
from export.registry import Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec, Task

SIZES = {
    "0.3b": Width(1024, 24, 16),
    "0.6b": Width(1280, 32, 16),
    "1b": Width(1536, 40, 24),
    "2b": Width(1920, 48, 32),
}
# No tensor shows the number of heads. 192 is nobody's release: a width for trying things out.
HEADS_OF_DIM = {192: 6} | {width.dim: width.heads for width in SIZES.values()}
POSE_MARK = "head.final_layer.weight"
DENSE_MARK = "decode_head.conv_seg.weight"
# The configs that leave `patch_cfg` out get no padding; tensors do not tell. 1024x768 gives 64x48 patches either way.
UNPADDED: tuple[tuple[Task, int], ...] = (("depth", 1), ("segment", 28))
TASK_OF_CHANNELS = {count: task for task, count in CHANNELS.items()}
State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class HeadPlan:
    """How often a head doubles the grid, how many 1x1 convolutions follow, and how wide both are."""

    deconvs: int
    convs: int
    channels: int


PLANS: dict[Task | None, HeadPlan] = {
    None: HeadPlan(POSE_DOUBLINGS, 2, 768),
    "segment": HeadPlan(DOUBLINGS["segment"], 3, 768),
    "normal": HeadPlan(DOUBLINGS["normal"], 3, 768),
    "depth": HeadPlan(DOUBLINGS["depth"], 2, 384),
}


class Upsampling(nn.Module):
    """Features (B, C, h, w) to (B, channels, h * 2^deconvs, w * 2^deconvs)."""

    def __init__(self, cin: int, plan: HeadPlan) -> None:
        super().__init__()
        widths = [cin, *[plan.channels] * plan.deconvs]
        self.deconv_layers = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(widths)
                for layer in (
                    nn.ConvTranspose2d(before, after, 4, 2, padding=1, bias=False),
                    nn.InstanceNorm2d(after),
                    nn.SiLU(),
                )
            )
        )
        self.conv_layers = nn.Sequential(
            *(
                layer
                for _ in range(plan.convs)
                for layer in (
                    nn.Conv2d(plan.channels, plan.channels, 1),
                    nn.InstanceNorm2d(plan.channels),
                    nn.SiLU(),
                )
            )
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Run both stacks."""
        return self.conv_layers(self.deconv_layers(features))


class PoseHead(Upsampling):
    """Features to one heatmap a keypoint."""

    def __init__(self, cin: int, plan: HeadPlan, keypoints: int) -> None:
        super().__init__(cin, plan)
        self.final_layer = nn.Conv2d(plan.channels, keypoints, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, K, h, w)."""
        return self.final_layer(super().forward(features))


class DenseHead(Upsampling):
    """Features to one map a channel."""

    def __init__(self, cin: int, plan: HeadPlan, channels: int) -> None:
        super().__init__(cin, plan)
        self.conv_seg = nn.Conv2d(plan.channels, channels, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return (B, C, h, w)."""
        return self.conv_seg(super().forward(features))


class SapiensPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W), to (heatmap,)."""

    def __init__(self, backbone: Vit, head: PoseHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return heatmaps (B, K, H / 4, W / 4)."""
        return (self.head(self.backbone(image)),)


class SapiensDense(nn.Module):
    """A normalised RGB frame, float32 (B, 3, H, W), to one map."""

    def __init__(self, backbone: Vit, decode_head: DenseHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.decode_head = decode_head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return class logits, depth or normals (B, C, h, w)."""
        return (self.decode_head(self.backbone(image)),)


def canonical(state: State, task: str | None) -> State | None:
    """Return the tensors as they are: our definition has the official names, and one head."""
    return state


def recognise(state: State) -> Variant | None:
    """Read size, head and input size off the tensors; None where they are not Sapiens'.

    Raises CheckpointError where they are, but fit no known size, keypoint set or map.
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
    size = _size(state, dim, channels)
    variant = Variant("sapiens", size, _input_wh(size, tokens))
    if mark == POSE_MARK:
        return replace(variant, schema=_schema(size, outputs[0]))
    task: Task = TASK_OF_CHANNELS.get(outputs[0], "segment")
    return replace(variant, dense=task, classes=_classes(size, task, outputs[0]))


def build(variant: Variant) -> nn.Module:
    """Return the network of that variant, freshly initialised."""
    width, plan = _plan(variant)
    padding = 0 if (variant.dense, _channels(variant)) in UNPADDED else PADDING
    backbone = Vit(width, variant.input_wh, padding=padding)
    if variant.dense is None:
        return SapiensPose(backbone, PoseHead(width.dim, plan, variant.keypoints))
    return SapiensDense(backbone, DenseHead(width.dim, plan, _channels(variant)))


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return what the model takes and gives; `model` is its name."""
    if variant.dense is None:
        return sapiens_pose_spec(model, variant.input_wh, variant.schema or "coco17")
    return sapiens_dense_spec(model, variant.input_wh, variant.dense, variant.classes)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless its sides are multiples of 16.

    Positions are interpolated, as for any of these transformers.
    """
    if any(side % PATCH for side in input_wh):
        width, height = input_wh
        raise CheckpointError(
            f"sapiens inputs have sides of multiples of {PATCH}, not {width}x{height}"
        )
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Every size with keypoints, and the smallest with each map, for naming the nearest when a checkpoint fits none."""
    poses = (Variant("sapiens", size, SAPIENS_WH, schema="coco17") for size in SIZES)
    maps = (
        Variant("sapiens", "0.3b", SAPIENS_WH, classes=_classes("0.3b", task, 28), dense=task)
        for task in DOUBLINGS
    )
    return (*poses, *maps)


def _plan(variant: Variant) -> tuple[Width, HeadPlan]:
    """Return the backbone and the head of a named size, or of one spelled out as dim x depth x head channels."""
    plan = PLANS[variant.dense]
    if variant.size in SIZES:
        return SIZES[variant.size], plan
    dim, depth, channels = map(int, variant.size.split("x"))
    return Width(dim, depth, HEADS_OF_DIM[dim]), replace(plan, channels=channels)


def _channels(variant: Variant) -> int:
    return len(variant.classes) or (CHANNELS[variant.dense] if variant.dense else 0)


def _size(state: State, dim: int, channels: int) -> str:
    depth = sum(key.startswith("backbone.layers.") and key.endswith(".ln1.weight") for key in state)
    if dim not in HEADS_OF_DIM:
        known = ", ".join(f"{width.dim} ({name})" for name, width in SIZES.items())
        raise CheckpointError(
            f"looks like sapiens, but is {dim} wide, and its tensors do not show how many attention heads that is; "
            f"known widths are {known}"
        )
    named = next((name for name, width in SIZES.items() if width.dim == dim), None)
    if named is None:
        return f"{dim}x{depth}x{channels}"
    if depth != SIZES[named].depth:
        raise CheckpointError(
            f"looks like sapiens-{named}, but has {depth} blocks instead of {SIZES[named].depth}; "
            "give an official checkpoint"
        )
    return named


def _input_wh(size: str, tokens: int) -> tuple[int, int]:
    """Return the input size of aspect 3:4 whose patches number `tokens`; Sapiens has no other aspect."""
    unit = math.isqrt(tokens // 12)
    if not tokens or 12 * unit * unit != tokens:
        raise CheckpointError(
            f"looks like sapiens-{size}, but {tokens} positions are no grid of aspect 3:4; give an official checkpoint"
        )
    return 48 * unit, 64 * unit


def _schema(size: str, keypoints: int) -> str:
    if keypoints not in SCHEMA_OF_COUNT:
        raise CheckpointError(
            f"looks like sapiens-{size}, but has {keypoints} keypoints; known are "
            f"{', '.join(f'{count} ({name})' for count, name in SCHEMA_OF_COUNT.items())}"
        )
    return SCHEMA_OF_COUNT[keypoints]


def _classes(size: str, task: Task, channels: int) -> tuple[str, ...]:
    if task != "segment":
        return ()
    if channels not in PARTS_OF_COUNT:
        raise CheckpointError(
            f"looks like sapiens-{size}, but gives {channels} maps; known are 1 (depth), 3 (normals), "
            f"{', '.join(f'{count} (body parts)' for count in PARTS_OF_COUNT)}"
        )
    return PARTS_OF_COUNT[channels]
