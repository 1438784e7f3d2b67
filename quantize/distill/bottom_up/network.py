"""The bottom-up model to train: the network of a name, and its initial weights."""

import torch
from torch import nn

from edge.geometry import Size
from edge.schema import KeypointSet
from export.registry import Variant
from quantize.distill.bottom_up.config import INPUT_WH
from quantize.distill.pretrained import TakenWeights, start_from
from quantize.distill.student import network_variant, new_student, student_spec
from runtimes.errors import InputError

FAMILIES = ("cspnext", "vitpose")


def bottom_up_variant(
    name: str, input_wh: Size | None = None, schema: KeypointSet | None = None
) -> Variant:
    """Return the bottom-up model of a name such as `cspnext-t-fpn-ae`; input 512x512 unless given.

    Raises InputError for another network, and for sizes and inputs that its family lacks.
    """
    refusal = InputError(
        f"{name!r} is no bottom-up model; give cspnext-t-fpn-ae, or another size of {' or '.join(FAMILIES)} with -ae "
        "at the end"
    )
    if name.partition("-")[0] not in FAMILIES:
        raise refusal
    variant = network_variant(name, input_wh or INPUT_WH, schema)
    if variant.codec or not student_spec(variant, name).is_bottom_up:
        raise refusal
    return variant


def new_bottom_up(
    variant: Variant, seed: int, init: str = ""
) -> tuple[nn.Module, TakenWeights | None]:
    """Return the network before its first step, in training mode, and what it took of `init`, None without one.

    Raises InputError for an `init` that does not fit, see `start_from`.
    """
    module = new_student(variant, seed)
    taken = start_from(init, module, variant) if init else None
    module.train().to(memory_format=torch.channels_last)  # faster on CPUs
    return module, taken
