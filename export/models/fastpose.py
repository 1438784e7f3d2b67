"""FastPose of AlphaPose (arXiv:2211.03375): a ResNet with channel gates, and three pixel shuffles up to heatmaps.

Checked against AlphaPose's own network; state dict keys are its keys. `size` is the depth, `res50` or, of our
students, the blocks of the four stages as `3x4x6x3`; `-wide` ones have CONV_DIM 256 instead of 128. The same network is
trained for heatmaps or for integral regression and its tensors do not say which: heatmaps are assumed, and the
catalogue names that end in `-integral` choose the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import nn

from edge.catalog.specs_fastpose import STRIDE, fastpose_spec
from export.models.checks import check_sides, keypoint_schema
from export.registry import NO_HINTS, Hints, Variant
from runtimes.errors import CheckpointError
from runtimes.spec import ModelSpec

EXPANSION = 4
STEM = 64
PLANES = (64, 128, 256, 512)
INPUT_WH = (192, 256)
MARKS = ("preact.conv1.weight", "duc1.conv.weight", "duc2.conv.weight", "conv_out.weight")
# Networks of the same authors with the same names that compute something else, each with a key of its own.
RELATIVES = {
    r"preact\.layer\d\.\d+\.conv2(_offset|\.conv_offset\w*)\.": "FastPose (DCN), with deformable convolutions",
    r"preact\.layer\d\.\d+\.conv2\.1\.|duc3\.": "FastPose (DUC), with unshuffled strides",
}


@dataclass(frozen=True, slots=True)
class Size:
    """Blocks in each stage of the ResNet, and channels before the last convolution."""

    blocks: tuple[int, ...]
    width: int = 128


SIZES = {
    "res50": Size((3, 4, 6, 3)),
    "res101": Size((3, 4, 23, 3)),
    "res152": Size((3, 8, 36, 3)),
    "res50-wide": Size((3, 4, 6, 3), 256),
    "res101-wide": Size((3, 4, 23, 3), 256),
    "res152-wide": Size((3, 8, 36, 3), 256),
}


WIDE = "-wide"
SPELLED = re.compile(r"(\d{1,2})x(\d{1,2})x(\d{1,2})x(\d{1,2})")


class ChannelGate(nn.Module):
    """Squeeze and excitation (arXiv:1709.01507) without a bottleneck: as many hidden units as channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.Sigmoid()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Gate the channels; the shape is kept."""
        gates = self.fc(self.pool(x).flatten(1))
        return x * gates[:, :, None, None]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a skip connection; the first block of a stage projects the skip and gates its channels."""

    def __init__(self, cin: int, planes: int, *, stride: int = 1, first: bool = False) -> None:
        super().__init__()
        cout = planes * EXPANSION
        self.conv1 = nn.Conv2d(cin, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, cout, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(cout)
        self.relu = nn.ReLU()
        if first:
            self.se = ChannelGate(cout)
            self.downsample = nn.Sequential(
                nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout)
            )
        self.first = first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, 4 * planes, H / stride, W / stride)."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        if self.first:
            return self.relu(self.se(out) + self.downsample(x))
        return self.relu(out + x)


class SEResNet(nn.Module):
    """A normalised image to 2048 channels at stride 32."""

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        cin = STEM
        for index, (planes, count) in enumerate(zip(PLANES, blocks, strict=True)):
            cout = planes * EXPANSION
            first = Bottleneck(cin, planes, stride=2 if index else 1, first=True)
            rest = (Bottleneck(cout, planes) for _ in range(count - 1))
            self.add_module(f"layer{index + 1}", nn.Sequential(first, *rest))
            cin = cout

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return (B, 2048, H / 32, W / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


class DUC(nn.Module):
    """Dense upsampling convolution (arXiv:1702.08502): a 3x3 convolution whose channels become pixels."""

    def __init__(self, cin: int, planes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, planes, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU()
        self.pixel_shuffle = nn.PixelShuffle(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, planes / 4, 2 H, 2 W)."""
        return self.pixel_shuffle(self.relu(self.bn(self.conv(x))))


class FastPose(nn.Module):
    """A normalised RGB crop, float32 (B, 3, H, W) sides multiples of 32, to (heatmap,) at a quarter of its size."""

    def __init__(self, size: Size, keypoints: int) -> None:
        super().__init__()
        self.preact = SEResNet(size.blocks)
        self.shuffle = nn.PixelShuffle(2)
        self.duc1 = DUC(PLANES[-1], 1024)
        self.duc2 = DUC(256, 4 * size.width)
        self.conv_out = nn.Conv2d(size.width, keypoints, 3, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        """Return one tensor (B, K, H / 4, W / 4): heatmaps, or logits where trained for integral regression."""
        features = self.shuffle(self.preact(image))
        return (self.conv_out(self.duc2(self.duc1(features))),)


def canonical(
    state: Mapping[str, torch.Tensor], task: str | None
) -> Mapping[str, torch.Tensor] | None:
    """Return the tensors as they are: the official names are those of our definition.

    Raises CheckpointError, by name, for the relatives of FastPose that are not built here.
    """
    if MARKS[0] not in state:
        return None
    for pattern, relative in RELATIVES.items():
        if any(re.match(pattern, key) for key in state):
            plain = ", ".join(f"fastpose-{size}" for size in SIZES if "-" not in size)
            raise CheckpointError(f"holds {relative}, which is not supported; known: {plain}")
    return state


def recognise(state: Mapping[str, torch.Tensor], hints: Hints = NO_HINTS) -> Variant | None:
    """Read depth, width and keypoints from the tensors; None where they are not FastPose's."""
    if any(key not in state or state[key].ndim != 4 for key in MARKS):
        return None
    blocks = tuple(_blocks(state, stage) for stage in range(1, len(PLANES) + 1))
    keypoints, width = state["conv_out.weight"].shape[:2]
    size = next((n for n, s in SIZES.items() if (s.blocks, s.width) == (blocks, width)), None)
    if size is None:
        return None
    return Variant("fastpose", size, INPUT_WH, schema=keypoint_schema(keypoints))


def size_of(name: str) -> Size:
    """Return what a size's name means; raises CheckpointError for one that means nothing."""
    if name in SIZES:
        return SIZES[name]
    found = SPELLED.fullmatch(name.removesuffix(WIDE))
    blocks = tuple(map(int, found.groups())) if found else ()
    if len(blocks) != len(PLANES) or not min(blocks):
        raise CheckpointError(
            f"fastpose has no size {name!r}; give one of {', '.join(SIZES)}, or the blocks of the four stages as "
            "3x4x6x3"
        )
    return Size(blocks, SIZES["res50-wide" if name.endswith(WIDE) else "res50"].width)


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    return FastPose(size_of(variant.size), variant.keypoint_count)


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    return fastpose_spec(model, variant.input_wh, variant.schema or "coco17", variant.codec)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless both sides are multiples of 32."""
    check_sides("fastpose", input_wh, STRIDE)
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return one variant a published size, to name the nearest of an unrecognised checkpoint."""
    return tuple(Variant("fastpose", size, INPUT_WH, schema="coco17") for size in SIZES)


def _blocks(state: Mapping[str, torch.Tensor], stage: int) -> int:
    """Count the blocks of a stage."""
    found = (re.fullmatch(rf"preact\.layer{stage}\.\d+\.conv3\.weight", key) for key in state)
    return sum(match is not None for match in found)
