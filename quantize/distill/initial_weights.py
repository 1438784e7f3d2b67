"""Weights that training starts from (`--init`): a checkpoint of the student's network, or of one with its backbone.

CSPNeXt is the backbone of RTMPose, of its heatmap pre-training (`cspnext`) and of RTMDet; a plain transformer that of
ViTPose and Sapiens. Backbones of one size have the same tensors in all of them.
"""

from typing import Any

import torch
from torch import nn

from edge.geometry import Size
from export import load_checkpoint
from export.checkpoint import LoadedModel
from export.models.vit import at_input
from export.registry import Variant, load_family
from quantize.distill.backbone_head import backbone_of
from runtimes.errors import InputError

Shapes = dict[str, tuple[int, ...]]
KNOWLEDGE_TENSOR = (
    "token"  # among a transformer's patches: of one network, so neither required nor copied
)


def load_init(path: str, variant: Variant) -> LoadedModel:
    """Load the checkpoint that training starts from (`--init`); raises InputError unless its backbone is the student's.

    Positions of a transformer are compared, and later taken, at the student's input size.
    """
    loaded = load_checkpoint(path)
    with torch.device("meta"):
        student = load_family(variant.family).build(variant)
    if difference := _backbone_difference(loaded, student, variant.input_wh):
        raise InputError(
            f"--init {path} holds {loaded.family}-{loaded.size}, the student is {variant.family}-{variant.size}: "
            f"{difference}; give a checkpoint of the same network, or of one with the same backbone"
        )
    return loaded


def take_weights(module: nn.Module, loaded: LoadedModel, variant: Variant) -> None:
    """Copy a checkpoint's weights into the student of `variant`: all where they fit, else the backbone's.

    A head fits where its tensors have the same shapes and mean the same keypoints, read in the same way.
    """
    source = at_input(loaded.module, variant.input_wh)
    theirs = loaded.variant
    alike = (theirs.family, theirs.schema, theirs.codec) == (
        variant.family,
        variant.schema,
        variant.codec,
    )
    if alike and _shapes(source) == _shapes(module):
        module.load_state_dict(source.state_dict())
    else:
        load_backbone(module, loaded, variant.input_wh)


def load_backbone(module: nn.Module, loaded: LoadedModel, input_wh: Size) -> None:
    """Copy the backbone of a loaded model, of any family, into a network with the same backbone at that input size.

    Raises InputError where a tensor is absent or has another shape.
    """
    if difference := _backbone_difference(loaded, module, input_wh):
        raise InputError(f"{loaded.family}-{loaded.size} cannot give its backbone: {difference}")
    source = backbone_of(at_input(loaded.module, input_wh))
    state = {name: value for name, value in source.state_dict().items() if name != KNOWLEDGE_TENSOR}
    backbone_of(module).load_state_dict(state, strict=False)  # but for the token, all are there


def _backbone_difference(loaded: LoadedModel, student: Any, input_wh: Size) -> str:
    """Return in words the first difference between two backbones; empty where there is none."""
    source = backbone_of(at_input(loaded.module, input_wh))
    if source is None:
        return "it has no backbone of its own"
    theirs, ours = _shapes(source), _shapes(backbone_of(student))
    for name in dict.fromkeys([*ours, *theirs]):
        if name != KNOWLEDGE_TENSOR and theirs.get(name) != ours.get(name):
            here, there = (each.get(name, "absent") for each in (ours, theirs))
            return f"{name} of its backbone is {there} instead of {here}"
    return ""


def _shapes(module: Any) -> Shapes:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}
