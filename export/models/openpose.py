"""The OpenPose families: how their published files are recognised, renamed and built.

Three networks: CMU's first body net (`openpose`), BODY_25 (`openpose_body25`) and Lightweight OpenPose
(`openpose_light`). Each has one size, and is known by the names of a few layers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import nn

from edge.catalog.specs_openpose import STRIDE, openpose_spec
from edge.schema import schema_of
from export.models import openpose_body25, openpose_coco18, openpose_light
from export.models.checks import check_sides
from export.models.openpose_layers import State, by_layer_name, layer_names
from export.registry import NO_HINTS, Hints, Variant
from runtimes.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class Network:
    """One network: its only variant, its module, the layers that mark its files, and how their tensors are renamed."""

    variant: Variant
    build: Callable[[], nn.Module]
    marks: frozenset[str]
    rename: Callable[[State, nn.Module], State]


# 656x368 is OpenPose's own input size for 16:9 video.
NETWORKS = {
    network.variant.family: network
    for network in (
        Network(
            Variant("openpose", "coco18", (656, 368), schema="openpose18"),
            openpose_coco18.OpenPose,
            openpose_coco18.MARKS,
            by_layer_name,
        ),
        Network(
            Variant("openpose_body25", "body25", (656, 368), schema="body25"),
            openpose_body25.Body25,
            openpose_body25.MARKS,
            by_layer_name,
        ),
        Network(
            Variant("openpose_light", "mobilenet", (456, 256), schema="openpose18"),
            openpose_light.PoseMobileNet,
            openpose_light.MARKS,
            openpose_light.without_unused_stages,
        ),
    )
}


def canonical(state: State, task: str | None) -> State | None:
    """Return the tensors under our names, from any published layout; None where they are of none of these networks."""
    network = _network_of(state)
    if network is None:
        return None
    with torch.device("meta"):
        return network.rename(state, network.build())


def recognise(state: State, hints: Hints = NO_HINTS) -> Variant | None:
    """Return the variant whose layers these are; None where they are of none of these networks."""
    network = _network_of(state)
    return None if network is None else network.variant


def build(variant: Variant) -> nn.Module:
    """Return the network of a variant, initialised."""
    return NETWORKS[variant.family].build()


def spec(variant: Variant, model: str) -> ModelSpec:
    """Return inputs, outputs and preprocessing; `model` is the name."""
    limbs_of = str(NETWORKS[variant.family].variant.schema)
    known = openpose_spec(model, variant.input_wh, limbs_of)
    keypoints = schema_of(variant.schema or limbs_of).to_spec()
    return msgspec.structs.replace(known, keypoints=keypoints)


def resize(variant: Variant, input_wh: tuple[int, int]) -> Variant:
    """Return the variant at another input size; raises CheckpointError unless its sides are multiples of 8."""
    check_sides(variant.family, input_wh, STRIDE)
    return replace(variant, input_wh=input_wh)


def candidates() -> tuple[Variant, ...]:
    """Return the variant of each network."""
    return tuple(network.variant for network in NETWORKS.values())


def _network_of(state: State) -> Network | None:
    names = state.keys() | layer_names(state)
    return next((each for each in NETWORKS.values() if names >= each.marks), None)
