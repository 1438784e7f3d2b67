"""The knowledge token (ViTPose++, arXiv:2212.04246, section 3.4): one vector trained on a frozen teacher.

The vector is appended to the teacher's patches and trained so that its heatmaps fit the ground truth, t* = argmin_t
MSE(T({t; X}), K_gt), with the teacher frozen. The student then has the frozen t* among its patches, without a position,
dropped before the decoder. The token is a small file of its own, trained once per teacher.

Where widths differ, a linear map without bias, trained with the student, projects t* to the student's width; after
training it is applied once, and only the resulting vector is kept.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.nn.utils import parametrize

from export.models.vit import Vit
from export.models.vitpose_sizes import KNOWLEDGE_SUFFIX
from export.registry import Variant, load_family
from quantize.distill.teachers.teacher import Teacher
from runtimes.errors import CheckpointError, InputError
from runtimes.files import atomic_file
from runtimes.record import MALFORMED, Record

CARD = "edgepose-token"
NAME = "token"
INITIAL_STD = 0.02  # as for transformers' embeddings


class TokenCard(Record, frozen=True, kw_only=True):
    """Metadata of a token file: the teacher's identity (`Teacher.identity`) and name, training steps.

    licences, commercial_use: joined terms of the teacher and of the data that the token was trained on.
    """

    format: int = 1
    teacher: str
    teacher_model: str
    steps: int
    licences: tuple[str, ...] = ()
    commercial_use: bool | None = None


class TokenProjection(nn.Module):
    """The linear map from the teacher's width to the student's; initially it roughly preserves lengths."""

    def __init__(self, theirs: int, ours: int, seed: int) -> None:
        super().__init__()
        self.map = nn.Linear(theirs, ours, bias=False)
        generator = torch.Generator().manual_seed(seed)
        nn.init.normal_(self.map.weight, std=ours**-0.5, generator=generator)

    def forward(self, token: torch.Tensor) -> torch.Tensor:
        """Return the token (1, 1, ours)."""
        return self.map(token)


def check_token_teacher(teacher: Teacher) -> None:
    """Raise InputError unless the teacher is a PyTorch ViTPose without a token: artifacts have no place for one."""
    module = teacher.module
    if module is None or not isinstance(getattr(module, "backbone", None), Vit):
        raise InputError(
            f"{teacher.spec.model} cannot have a knowledge token: the teacher must be a PyTorch ViTPose checkpoint"
        )
    if module.backbone.token is not None:
        raise InputError(
            f"{teacher.spec.model} already has a knowledge token; choose a teacher that was trained without one"
        )


def token_teacher(teacher: Teacher, seed: int) -> Any:
    """Return the teacher with a token drawn from the seed among its patches, the only trainable tensor.

    Raises as `check_token_teacher`.
    """
    check_token_teacher(teacher)
    network = copy.deepcopy(teacher.module).requires_grad_(requires_grad=False).eval()
    width = network.backbone.pos_embed.shape[2]
    network.backbone.token = nn.Parameter(random_token(width, seed))
    return AlwaysEval(network)


class AlwaysEval(nn.Module):
    """A network that stays in evaluation mode, so that its batch norms keep their statistics."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def train(self, mode: bool = True) -> "AlwaysEval":  # noqa: FBT001, FBT002 torch's signature
        """Stay in evaluation mode."""
        super().train(mode=False)
        return self

    def forward(self, image: torch.Tensor) -> Any:
        """Run the network."""
        return self.module(image)


def random_token(width: int, seed: int) -> torch.Tensor:
    """Return an untrained token (1, 1, width): the start of training, and the control of an ablation."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(1, 1, width).normal_(std=INITIAL_STD, generator=generator)


def token_variant(variant: Variant) -> Variant:
    """Return the student's network with a place for one token."""
    bare = variant.size.removesuffix(KNOWLEDGE_SUFFIX)
    return replace(variant, size=bare + KNOWLEDGE_SUFFIX)


def add_token(student: Any, token: torch.Tensor, seed: int) -> None:
    """Add a frozen token (1, 1, theirs) to the student's patches.

    Where widths differ it goes through a projection whose initial weights are drawn from the seed.
    """
    vit = student.backbone
    own, theirs = vit.pos_embed.shape[2], token.shape[2]
    vit.token = nn.Parameter(token.detach().clone(), requires_grad=False)
    if own != theirs:
        projection = TokenProjection(theirs, own, seed)
        parametrize.register_parametrization(vit, "token", projection, unsafe=True)
        vit.parametrizations.token.original.requires_grad_(requires_grad=False)


def apply_projection(variant: Variant, state: Mapping[str, torch.Tensor], theirs: int) -> Any:
    """Return the bare network of a trained state dict, with the token's projection applied and removed."""
    module = load_family(variant.family).build(variant)
    add_token(module, torch.zeros(1, 1, theirs), seed=0)
    module.load_state_dict(state)
    if parametrize.is_parametrized(module.backbone, "token"):
        parametrize.remove_parametrizations(module.backbone, "token", leave_parametrized=True)
    return module


def write_token(path: Path, token: torch.Tensor, card: TokenCard) -> None:
    """Write a token and its card as safetensors, atomically."""
    data = save(
        {NAME: token.detach().contiguous().cpu()}, {CARD: msgspec.json.encode(card).decode()}
    )
    with atomic_file(path) as stream:
        stream.write(data)


def read_token(path: Path, teacher: Teacher) -> tuple[torch.Tensor, TokenCard]:
    """Return a teacher's token (1, 1, C); raises CheckpointError for a file that is none, or another teacher's."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            token = file.get_tensor(NAME)
        card = msgspec.json.decode(metadata[CARD], type=TokenCard)
    except (OSError, SafetensorError, KeyError, *MALFORMED) as error:
        raise CheckpointError(
            f"{path}: is no knowledge token ({error}); train one by leaving --token out"
        ) from error
    if card.teacher != teacher.identity:
        raise CheckpointError(
            f"{path}: is the token of another teacher ({card.teacher_model}, {card.teacher[:12]}), not of "
            f"{teacher.spec.model} ({teacher.identity[:12]}); train one by leaving --token out"
        )
    return token.float(), card
