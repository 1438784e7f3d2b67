"""Weights of `--init` taken into a student as far as they fit: another size, or a backbone pre-trained elsewhere.

Backbones come under the names of mmpose and mmpretrain, of ViTPose's authors and MAE (timm's), or of Hugging Face.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export import load_checkpoint
from export.models.vit import Vit, resize_positions
from export.models.vitpose_layouts import mmpose_names
from export.registry import Variant
from export.weights import COUNTER, read_weights
from quantize.distill.backbone_head import BACKBONES, backbone_of
from quantize.distill.config import DistillConfig
from quantize.distill.initial_weights import load_init, take_weights
from quantize.distill.network_parts import freeze
from quantize.distill.student import new_student
from runtimes.artifact import sha256_of
from runtimes.errors import CheckpointError, InputError
from runtimes.record import Record
from runtimes.spec import Lineage

MIN_SHARE = 0.1  # of the backbone's numbers: with less, the file is another network's
SHOWN = 6  # names in a message
CLASS_VECTOR = "backbone.cls_token"
POSITIONS = "backbone.pos_embed"
State = dict[str, torch.Tensor]


class TakenWeights(Record, frozen=True, kw_only=True):
    """What a student took of `--init`: names of its tensors that were copied, and of those that stay random."""

    taken: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The counts, and the first names of what stays random."""
        total = len(self.taken) + len(self.left)
        more = f" and {len(self.left) - SHOWN} more" if len(self.left) > SHOWN else ""
        rest = f"; still random: {', '.join(self.left[:SHOWN])}{more}" if self.left else ""
        return f"{len(self.taken)} of {total} tensors taken{rest}"


def start_from(path: str, module: nn.Module, variant: Variant) -> TakenWeights:
    """Copy what fits of a checkpoint into the student of `variant`: all of it, the backbone, or a part of that.

    A part is taken where names and shapes agree; positions are interpolated. Raises InputError, before anything is
    copied, where under a tenth of the backbone fits.
    """
    random = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        loaded = load_init(path, variant)
    except InputError as refusal:
        fitting = _fitting(path, module)
        if _share(fitting, module) < MIN_SHARE:
            raise refusal from None
        module.load_state_dict(fitting, strict=False)
    else:
        take_weights(module, loaded, variant)
        source = loaded.module.state_dict()
        fitting = {
            name: value
            for name, value in module.state_dict().items()
            if not torch.equal(value, random[name]) or _equal(value, source.get(name))
        }
    names = [name for name in random if not name.endswith(COUNTER)]
    return TakenWeights(
        taken=tuple(name for name in names if name in fitting),
        left=tuple(name for name in names if name not in fitting),
    )


def init_lineage(path: str) -> Lineage:
    """Return the lineage of an `--init`; of a bare backbone, whose publisher is unknown, without terms."""
    try:
        return load_checkpoint(path).lineage
    except CheckpointError:
        file = Path(path)
        return Lineage(
            weights="checkpoint", checkpoint=file.name, checkpoint_sha256=sha256_of(file)
        )


def check_init(config: DistillConfig, variant: Variant) -> TakenWeights | None:
    """Return what the student will take of `init`, None without one, before other work starts.

    Raises InputError as `start_from` does, and where a frozen tensor would stay random.
    """
    if not config.init:
        return None
    module = new_student(variant, config.seed)
    taken = start_from(config.init, module, variant)
    freeze(module, config.freeze)
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    random = [name for name in taken.left if name in frozen]
    if random:
        raise InputError(
            f"--freeze keeps {len(random)} tensors as they are that --init does not have ({random[0]}, ...); give a "
            "checkpoint that has them, or freeze less"
        )
    return taken


def _fitting(path: str, module: nn.Module) -> State:
    """Return the tensors of a file's backbone that fit the student's, under the student's names."""
    named = _student_names(read_weights(Path(path)).state, module)
    ours = module.state_dict()
    return {
        name: value
        for name, value in named.items()
        if name in ours
        and value.shape == ours[name].shape
        and name.partition(".")[0] in BACKBONES
        and not name.endswith(".token")
    }


def _student_names(state: Mapping[str, torch.Tensor], module: nn.Module) -> State:
    """Return a file's tensors under the student's names, positions at its input size, without a class token's."""
    root = next(name for name in BACKBONES if hasattr(module, name))
    whole = any(key.startswith(f"{root}.") for key in state)
    named = dict(state) if whole else {f"{root}.{key}": value for key, value in state.items()}
    for ending in ("weight", "bias"):  # of the last norm, as timm and MAE call it
        if (norm := f"{root}.norm.{ending}") in named:
            named[f"{root}.last_norm.{ending}"] = named.pop(norm)
    with_class = CLASS_VECTOR in named
    merged = with_class and f"{root}.patch_embed.projection.weight" not in named
    named = mmpose_names(named) or named
    transformer: Any = backbone_of(module)
    if not isinstance(transformer, Vit) or POSITIONS not in named:
        return named
    positions = named[POSITIONS]
    if with_class and not merged:  # mmpretrain's; those of other layouts are without it by now
        positions = positions[:, 1:] + positions[:, :1]
    grid = _grid(positions.shape[1], transformer.grid)
    if grid is not None and positions.shape[2] == transformer.pos_embed.shape[2]:
        named[POSITIONS] = resize_positions(positions, grid, transformer.grid)
    return named


def _grid(tokens: int, wanted: tuple[int, int]) -> tuple[int, int] | None:
    """Return the rows and columns of positions: of the student's aspect ratio, or square; None for neither."""
    rows = round(math.sqrt(tokens * wanted[0] / wanted[1]))
    if rows and tokens % rows == 0 and rows * wanted[1] == tokens // rows * wanted[0]:
        return rows, tokens // rows
    side = math.isqrt(tokens)
    return (side, side) if side * side == tokens else None


def _equal(value: torch.Tensor, other: torch.Tensor | None) -> bool:
    return other is not None and value.shape == other.shape and torch.equal(value, other)


def _share(fitting: State, module: nn.Module) -> float:
    """Return the share of a student's backbone, in numbers, that these tensors are."""
    total = sum(value.numel() for value in backbone_of(module).state_dict().values())
    return sum(value.numel() for value in fitting.values()) / max(total, 1)
