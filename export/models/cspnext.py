"""CSPNeXt-UDP: RTMPose's backbone under a heatmap head, by which mmpose pre-trains it (arXiv:2303.07399, section 3.2).

`size` is the backbone's, with `-fpn` at the end for the light head of our own students. `-ae` after that is a bottom-up
student: either head with a heatmap and a tag map a keypoint (associative embedding, arXiv:1611.05424). The definition
of mmpose's head follows mmpose 1.3.2; state dict keys are its keys.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.cspnext import STRIDE, cspnext_ae_spec, cspnext_spec
from export.models.checks import check_sides, keypoint_schema
from export.models.cspnext_backbone import (
    PUBLISHED,
    CSPNeXt,
    CSPNeXtSize,
    read_size,
    size_name,
    size_of,
)
from export.models.cspnext_heads import HEADS
from export.registry import NO_HINTS, Hints, Variant
from runtimes.spec import ModelSpec

INPUT_WH = (192, 256)
BOTTOM_UP = "-ae"
FINAL = "head.final_layer.weight"
# The first tensor of each head, by the end of a size's name.
MARKS = {"": "head.deconv_layers.0.weight", "-fpn": "head.lateral_convs.0.conv.weight"}


class CSPNeXtHeatmap(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W) sides multiples of 32, to (heatmap,) at a quarter of its size."""

    def __init__(self, size: CSPNeXtSize, head: nn.Module) -> None:
        super().__init__()
        self.backbone = CSPNeXt(size)
        self.head = head

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return one tensor, heatmaps (B, K, H / 4, W / 4)."""
        maps = self.head(self.backbone(image))
        return maps if isinstance(maps, tuple) else (maps,)  # in training of several heads at once


class CSPNeXtTagged(CSPNeXtHeatmap):
    """The same with a head of 2 K channels, a whole frame to (heatmap, tags) at a quarter of its size."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return heatmaps and tags, (B, K, H / 4, W / 4) each."""
        (maps,) = super().forward(image)
        heatmaps, tags = maps.chunk(2, dim=1)
        return heatmaps, tags


def canonical(
    state: Mapping[str, torch.Tensor], task: str | None
) -> Mapping[str, torch.Tensor] | None:
    """Return the tensors as they are: the official names are those of our definition."""
    return state


def recognise(state: Mapping[str, torch.Tensor], hints: Hints = NO_HINTS) -> Variant | None:
    """Read size, head and keypoints from the tensors, and the input from a config; None where they are not CSPNeXt's.

    Raises CheckpointError for a configured input whose sides are no multiples of 32.
    """
    head = next((suffix for suffix, mark in MARKS.items() if mark in state), None)
    backbone = read_size(state)
    if backbone is None or head is None or FINAL not in state or state[FINAL].ndim != 4:
        return None
    input_wh = hints.input_wh or INPUT_WH
    check_sides("cspnext", input_wh, STRIDE)
    channels = state[FINAL].shape[0]
    # tags double the channels, which shows only where the keypoints are named
    if hints.keypoint_count == channels / 2:
        channels, head = channels // 2, head + BOTTOM_UP
    return Variant(
        "cspnext", size_name(backbone) + head, input_wh, schema=keypoint_schema(channels)
    )


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    plain = variant.size.removesuffix(BOTTOM_UP)
    suffix = next(each for each in reversed(HEADS) if plain.endswith(each))
    size = size_of("cspnext", plain.removesuffix(suffix))
    if plain != variant.size:
        return CSPNeXtTagged(size, HEADS[suffix](size, 2 * variant.keypoint_count))
    return CSPNeXtHeatmap(size, HEADS[suffix](size, variant.keypoint_count))


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    schema = variant.schema or "coco17"
    if variant.size.endswith(BOTTOM_UP):
        return cspnext_ae_spec(model, variant.input_wh, schema)
    return cspnext_spec(model, variant.input_wh, schema)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless both sides are multiples of 32."""
    check_sides("cspnext", input_wh, STRIDE)
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    sizes = (f"{name}{head}" for head in HEADS for name in PUBLISHED)
    return tuple(Variant("cspnext", size, INPUT_WH, schema="coco17") for size in sizes)
