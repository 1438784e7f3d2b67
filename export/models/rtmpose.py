"""RTMPose (arXiv:2303.07399): CSPNeXt, a gated attention unit over keypoints, SimCC logits.

Checked against mmpose 1.3.2; state dict keys are its keys. Only SimCC heads without a neck: RTMW is another family.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.specs import SIMCC_SPLIT, rtmpose_spec
from export.models.checks import keypoint_schema
from export.models.cspnext_backbone import (
    PUBLISHED,
    CSPNeXt,
    CSPNeXtSize,
    read_size,
    size_name,
    size_of,
)
from export.registry import NO_HINTS, Hints, Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec

STRIDE = 32
HIDDEN = 256
EXPANDED = 512
QUERY = 128
MARKS = ("head.cls_x.weight", "head.cls_y.weight", "head.final_layer.weight", "head.gau.uv.weight")


class ScaleNorm(nn.Module):
    """Division of each token by its root mean square; `g` is one learned gain (arXiv:1910.05895)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = dim**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last axis."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=1e-5) * self.g


class Scaling(nn.Module):
    """A learned gain for each channel, on the skip connection."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scale the last axis."""
        return x * self.scale


class GatedAttention(nn.Module):
    """Gated attention unit over keypoints (arXiv:2202.10447) with squared-ReLU scores: (B, K, 256) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ln = ScaleNorm(HIDDEN)
        self.uv = nn.Linear(HIDDEN, 2 * EXPANDED + QUERY, bias=False)
        self.gamma = nn.Parameter(torch.full((2, QUERY), 0.4))
        self.beta = nn.Parameter(torch.zeros(2, QUERY))
        self.o = nn.Linear(EXPANDED, HIDDEN, bias=False)
        self.res_scale = Scaling(HIDDEN)
        self.act = nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the unit. q and k are computed apart: stacked they have 5 axes, which ncnn does not support."""
        u, v, base = self.act(self.uv(self.ln(x))).split([EXPANDED, EXPANDED, QUERY], dim=-1)
        query = base * self.gamma[0] + self.beta[0]
        key = base * self.gamma[1] + self.beta[1]
        # mmpose's weights need scores without the 1/n of the paper's equation 2 (arXiv:2303.07399)
        scores = torch.relu(torch.matmul(query, key.transpose(1, 2)) / QUERY**0.5)
        gated = u * torch.matmul(scores * scores, v)
        return self.res_scale(x) + self.o(gated)


class SimCCHead(nn.Module):
    """The backbone's maps, of which it reads the last -> logits over x bins (B, K, 2 W) and y bins (B, K, 2 H)."""

    def __init__(self, channels: int, keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__()
        width, height = input_wh
        cells = (width // STRIDE) * (height // STRIDE)
        self.final_layer = nn.Conv2d(channels, keypoints, 7, padding=3)
        self.mlp = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, HIDDEN, bias=False))
        self.gau = GatedAttention()
        self.cls_x = nn.Linear(HIDDEN, int(width * SIMCC_SPLIT), bias=False)
        self.cls_y = nn.Linear(HIDDEN, int(height * SIMCC_SPLIT), bias=False)

    def forward(self, maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the x and the y logits of maps that end with (B, C, H / 32, W / 32)."""
        tokens = self.gau(self.mlp(self.final_layer(maps[-1]).flatten(2)))
        return self.cls_x(tokens), self.cls_y(tokens)


class RTMPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W), to (simcc_x, simcc_y)."""

    def __init__(self, size: CSPNeXtSize, keypoints: int, input_wh: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = CSPNeXt(size)
        self.head = SimCCHead(size.channels, keypoints, input_wh)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (B, K, 2 W) and (B, K, 2 H)."""
        return self.head(self.backbone(image))


def canonical(
    state: Mapping[str, torch.Tensor], task: str | None
) -> Mapping[str, torch.Tensor] | None:
    """Return the tensors as they are: the official names are those of our definition."""
    return state


def recognise(state: Mapping[str, torch.Tensor], hints: Hints = NO_HINTS) -> Variant | None:
    """Read size, keypoints and input size from the tensors; None where they are not RTMPose's.

    A size of other width and depth factors than the published ones is spelled out (`cspnext_backbone.spell_size`).

    Raises CheckpointError for bins that fit no input size.
    """
    backbone = read_size(state)
    if backbone is None or any(key not in state or state[key].ndim < 2 for key in MARKS):
        return None
    size = size_name(backbone)
    bins = [state[f"head.cls_{axis}.weight"].shape[0] for axis in "xy"]
    width, height = (int(count / SIMCC_SPLIT) for count in bins)
    if min(width, height) < STRIDE or width % STRIDE or height % STRIDE:
        raise CheckpointError(
            f"looks like rtmpose-{size}, but {bins[0]} x {bins[1]} bins fit no input with sides that are "
            f"multiples of {STRIDE}; give a checkpoint in the official layout"
        )
    schema = keypoint_schema(state["head.final_layer.weight"].shape[0])
    return Variant("rtmpose", size, (width, height), schema=schema)


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    return RTMPose(size_of("rtmpose", variant.size), variant.keypoint_count, variant.input_wh)


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    return rtmpose_spec(model, variant.input_wh, variant.schema or "coco17", variant.simcc_sigma)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Raise CheckpointError unless the size stays: the head's matrices are as wide as the input."""
    if input_wh != variant.input_wh:
        width, height = variant.input_wh
        raise CheckpointError(
            f"these rtmpose weights fix the input at {width}x{height}; "
            f"leave --input out, or give weights trained at {input_wh[0]}x{input_wh[1]}"
        )
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    return tuple(Variant("rtmpose", size, (192, 256), schema="coco17") for size in PUBLISHED)
