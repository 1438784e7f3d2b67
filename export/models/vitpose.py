"""ViTPose (arXiv:2204.12484): a plain vision transformer and one of four decoders to heatmaps.

Checked against mmpose 1.3.2, the authors' repository and Hugging Face's transformers; state dict keys are mmpose's.
ViTPose++ (arXiv:2212.04246) is the same network once a task is chosen. Layer norm's eps is the authors' 1e-6:
transformers' configs say 1e-12, which moves a heatmap by less than 1e-5. Published weights give heatmaps; a student's
card may say `integral` instead. Strides and windows of ViTPose++ (section 3.3) are options of the size's name.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.specs_vitpose import vitpose_ae_spec, vitpose_spec
from export.models.checks import check_sides
from export.models.vit import PATCH, Vit, grid_of, padding_of
from export.models.vit_windows import check_windows
from export.models.vitpose_experts import plain_network
from export.models.vitpose_recognise import read_variant
from export.models.vitpose_sizes import Plan, plan_of
from export.registry import NO_HINTS, Hints, Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec

INPUT_WH = (192, 256)


class ViTPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W) of exactly `input_wh`, to (heatmap,); with tags: (heatmap, tags)."""

    def __init__(self, plan: Plan, input_wh: tuple[int, int], keypoints: int) -> None:
        super().__init__()
        self.backbone = Vit(
            plan.backbone,
            input_wh,
            padding=padding_of(plan.stride),
            tokens=plan.tokens,
            stride=plan.stride,
            windows=plan.windows,
        )
        self.head = plan.head(keypoints)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return heatmaps (B, K, H / map_stride, W / map_stride), and of a bottom-up network tags of that shape."""
        maps = self.head(self.backbone(image))
        return maps if isinstance(maps, tuple) else (maps,)


def canonical(
    state: Mapping[str, torch.Tensor], task: str | None
) -> Mapping[str, torch.Tensor] | None:
    """Return the tensors of one plain network under mmpose 1.x's names, from any of three layouts.

    A ViTPose++ is reduced to one task; raises CheckpointError where it does not hold it.
    """
    return plain_network(state, task)


def recognise(state: Mapping[str, torch.Tensor], hints: Hints = NO_HINTS) -> Variant | None:
    """Read size, decoder, keypoints and input size from the tensors; None where they are not ViTPose's.

    Raises CheckpointError where they are, but blocks or heads are not known, or the aspect is not.
    """
    return read_variant(state, hints)


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised; raises CheckpointError where its windows do not fit its input."""
    return ViTPose(plan_of(variant.size), variant.input_wh, variant.keypoint_count)


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    plan = plan_of(variant.size)
    schema = variant.schema or "coco17"
    if plan.is_bottom_up:
        return vitpose_ae_spec(model, variant.input_wh, schema, plan.map_stride)
    return vitpose_spec(model, variant.input_wh, schema, variant.codec, plan.map_stride)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size.

    Raises CheckpointError unless both sides are multiples of 16, and whole windows cover the patches. The positions of
    a loaded network are interpolated (`export.models.vit.at_input`).
    """
    check_sides("vitpose", input_wh, PATCH)
    plan = plan_of(variant.size)
    if plan.windows and plan.windows.keeps_grid and input_wh != variant.input_wh:
        width, height = variant.input_wh
        raise CheckpointError(
            f"vitpose-{variant.size} has relative positions of the whole input, which is {width}x{height}; "
            "leave the input size out"
        )
    check_windows(plan.windows, grid_of(input_wh, padding_of(plan.stride), plan.stride))
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    sizes = (f"{width}{decoder}" for decoder in ("", "-simple") for width in "sblh")
    return tuple(Variant("vitpose", size, INPUT_WH, schema="coco17") for size in sizes)
