"""ViTPose (arXiv:2204.12484): a plain vision transformer and one of three decoders to heatmaps.

Checked against mmpose 1.3.2, the authors' repository and Hugging Face's transformers; state dict keys are mmpose's.
ViTPose++ (arXiv:2212.04246) is the same network once a task is chosen. Layer norm's eps is the authors' 1e-6:
transformers' configs say 1e-12, which moves a heatmap by less than 1e-5. Published weights give heatmaps; a student's
card may say `integral` instead.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.specs_vitpose import vitpose_spec
from export.models.checks import check_sides, keypoint_schema
from export.models.vit import PATCH, Vit, fits_positions
from export.models.vit_sizes import VitSize, read_size, size_name
from export.models.vitpose_experts import plain_network
from export.models.vitpose_sizes import KNOWLEDGE_SUFFIX, PUBLISHED, plan_of
from export.registry import NO_HINTS, Hints, Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec

INPUT_WH = (192, 256)
FINAL = "head.final_layer.weight"
DECONV = "head.deconv_layers.0.weight"
MARKS = ("backbone.pos_embed", "backbone.patch_embed.projection.weight", FINAL)
# Of Sapiens, which has the same backbone.
SAPIENS_MARK = "head.conv_layers.0.weight"


class ViTPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W) of exactly `input_wh`, to (heatmap,) at a quarter of its size."""

    def __init__(
        self, size: VitSize, input_wh: tuple[int, int], head: nn.Module, tokens: int = 0
    ) -> None:
        super().__init__()
        self.backbone = Vit(size, input_wh, tokens=tokens)
        self.head = head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return one tensor, heatmaps (B, K, H / 4, W / 4)."""
        return (self.head(self.backbone(image)),)


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
    if any(key not in state for key in MARKS) or SAPIENS_MARK in state:
        return None
    positions, patches, final = (state[key] for key in MARKS)
    if (positions.ndim, patches.ndim, final.ndim) != (3, 4, 4) or patches.shape[2:] != (
        PATCH,
        PATCH,
    ):
        return None
    backbone = read_size("vitpose", state, patches.shape[0], PUBLISHED, hints)
    size = size_name(backbone, PUBLISHED) + _decoder(state, final.shape[-1])
    size += KNOWLEDGE_SUFFIX if "backbone.token" in state else ""
    schema = keypoint_schema(final.shape[0])
    input_wh = _input_wh(size, positions.shape[1], hints.input_wh)
    return Variant("vitpose", size, input_wh, schema=schema)


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    plan = plan_of(variant.size)
    head = plan.decoder(plan.backbone.dim, variant.keypoint_count)
    return ViTPose(plan.backbone, variant.input_wh, head, plan.tokens)


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    return vitpose_spec(model, variant.input_wh, variant.schema or "coco17", variant.codec)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless both sides are multiples of 16.

    The positions of a loaded network are interpolated (`export.models.vit.at_input`).
    """
    check_sides("vitpose", input_wh, PATCH)
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    sizes = (f"{width}{decoder}" for decoder in ("", "-simple") for width in "sblh")
    return tuple(Variant("vitpose", size, INPUT_WH, schema="coco17") for size in sizes)


def _decoder(state: Mapping[str, torch.Tensor], kernel: int) -> str:
    if DECONV in state:
        return ""
    return "-simple" if kernel > 1 else "-minimal"


def _input_wh(size: str, tokens: int, hinted: tuple[int, int] | None) -> tuple[int, int]:
    """Return the input size with `tokens` patches: the hinted one, else aspect 3:4 (all that is published) or 1:1.

    Tensors show only that number; for other sizes the positions are interpolated after loading.
    """
    if hinted is not None and fits_positions(hinted, tokens):
        return hinted
    for columns, rows in ((3, 4), (1, 1)):
        unit = math.isqrt(tokens // (columns * rows))
        if unit and columns * rows * unit**2 == tokens:
            return columns * unit * PATCH, rows * unit * PATCH
    raise CheckpointError(
        f"looks like vitpose-{size}, but {tokens} positions are no grid of aspect 3:4 or 1:1; "
        "give --input WxH, the size that it was trained at"
    )
