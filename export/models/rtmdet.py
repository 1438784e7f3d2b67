"""RTMDet (arXiv:2212.07784): CSPNeXt, a PAFPN of CSP layers, and a head whose levels each have their own batch norms.

Checked against mmdet 3.3.0; state dict keys are its keys. Official models above nano share the head's convolutions
across levels and store them three times; here each level owns its copy: same outputs, and every converter takes it.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from edge.catalog.specs import COCO_CLASSES, RTMDET_STRIDES, rtmdet_spec
from export.models.checks import check_sides
from export.models.cspnext_backbone import CSPLayer, CSPNeXt
from export.models.layers import ConvBN, conv3x3
from export.models.rtmdet_sizes import CLASSES, PUBLISHED, Size, read_size, size_name, size_of
from export.registry import NO_HINTS, Hints, Variant
from runtimes.spec import ModelSpec

LEVELS = len(RTMDET_STRIDES)
STACKED = 2
PRIOR_LOGIT = -4.6  # log(.01 / .99): an untrained head detects nothing
INPUT_WH = {"nano": (320, 320)}  # of the published sizes; the others take 640x640


class Neck(nn.Module):
    """The PAFPN: features at strides 8, 16, 32 mixed top-down, then bottom-up, and brought to one width."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths, depthwise = size.backbone.stages[1:], size.backbone.depthwise

        def mix(cin: int, cout: int) -> CSPLayer:
            return CSPLayer(
                cin, cout, size.neck_blocks, backbone=False, residual=False, depthwise=depthwise
            )

        self.reduce_layers = nn.ModuleList(
            ConvBN(widths[level], widths[level - 1], 1) for level in (2, 1)
        )
        self.top_down_blocks = nn.ModuleList(
            mix(2 * widths[level - 1], widths[level - 1]) for level in (2, 1)
        )
        self.downsamples = nn.ModuleList(
            conv3x3(widths[level], widths[level], stride=2, depthwise=depthwise) for level in (0, 1)
        )
        self.bottom_up_blocks = nn.ModuleList(
            mix(2 * widths[level], widths[level + 1]) for level in (0, 1)
        )
        self.out_convs = nn.ModuleList(
            conv3x3(w, size.features, depthwise=depthwise) for w in widths
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, features: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
        """Return three maps of equal width, finest first."""
        fine, middle, coarse = features
        coarse = self.reduce_layers[0](coarse)
        middle = self.top_down_blocks[0](torch.cat([self.upsample(coarse), middle], dim=1))
        middle = self.reduce_layers[1](middle)
        fine = self.top_down_blocks[1](torch.cat([self.upsample(middle), fine], dim=1))
        middle = self.bottom_up_blocks[0](torch.cat([self.downsamples[0](fine), middle], dim=1))
        coarse = self.bottom_up_blocks[1](torch.cat([self.downsamples[1](middle), coarse], dim=1))
        levels = (fine, middle, coarse)
        return [conv(level) for conv, level in zip(self.out_convs, levels, strict=True)]


class Head(nn.Module):
    """The head: features of each level to class logits and distances to the four sides, in pixels of the input."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        width = size.features

        def tower() -> nn.Sequential:
            return nn.Sequential(
                *(conv3x3(width, width, depthwise=size.backbone.depthwise) for _ in range(STACKED))
            )

        self.exponent = size.exponent
        self.cls_convs = nn.ModuleList(tower() for _ in range(LEVELS))
        self.reg_convs = nn.ModuleList(tower() for _ in range(LEVELS))
        self.rtm_cls = nn.ModuleList(nn.Conv2d(width, classes, 1) for _ in range(LEVELS))
        self.rtm_reg = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in range(LEVELS))
        for layer in self.rtm_cls:
            nn.init.constant_(layer.bias, PRIOR_LOGIT)
        for layer in self.rtm_reg:
            nn.init.constant_(layer.bias, 1.0)

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Return cls0, cls1, cls2 (B, classes, h, w) and reg0, reg1, reg2 (B, 4, h, w)."""
        logits, distances = [], []
        for level, (x, stride) in enumerate(zip(features, RTMDET_STRIDES, strict=True)):
            logits.append(self.rtm_cls[level](self.cls_convs[level](x)))
            reach = self.rtm_reg[level](self.reg_convs[level](x))
            distances.append((torch.exp(reach) if self.exponent else reach) * stride)
        return (*logits, *distances)


class RTMDet(nn.Module):
    """A normalised BGR image, float32 (B, 3, H, W) with H and W multiples of 32, to logits and distances."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        self.backbone = CSPNeXt(size.backbone)
        self.neck = Neck(size)
        self.bbox_head = Head(size, classes)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return cls0, cls1, cls2, reg0, reg1, reg2 for strides 8, 16, 32."""
        return self.bbox_head(self.neck(self.backbone(image)))


def canonical(
    state: Mapping[str, torch.Tensor], task: str | None
) -> Mapping[str, torch.Tensor] | None:
    """Return the tensors as they are: the official names are those of our definition."""
    return state


def recognise(state: Mapping[str, torch.Tensor], hints: Hints = NO_HINTS) -> Variant | None:
    """Read size and number of classes from the tensors; None where they are not RTMDet's.

    The input size is the one that the size was published with, else 640x640: the network is fully convolutional.
    """
    size = read_size(state, hints)
    if size is None:
        return None
    return _variant(size_name(size), class_names(state[CLASSES].shape[0]))


def class_names(count: int) -> tuple[str, ...]:
    """Return COCO's names for 1 (person) and 80 classes, numbers otherwise."""
    if count in {1, len(COCO_CLASSES)}:
        return COCO_CLASSES[:count]
    return tuple(f"class{index}" for index in range(count))


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    return RTMDet(size_of(variant.size), len(variant.classes))


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    return rtmdet_spec(model, variant.input_wh, variant.classes)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless both sides are multiples of 32."""
    check_sides("rtmdet", input_wh, RTMDET_STRIDES[-1])
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    return tuple(_variant(name, class_names(1)) for name in PUBLISHED)


def _variant(size: str, classes: tuple[str, ...]) -> Variant:
    return Variant("rtmdet", size, INPUT_WH.get(size, (640, 640)), classes=classes)
