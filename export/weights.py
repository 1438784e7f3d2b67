"""Tensors of a checkpoint file by name: read safely, wrappers stripped, plain, finite, float32."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.dataset_meta import NO_META, DatasetMeta, dataset_meta
from export.lfs_pointer import LFS_POINTER, is_lfs_pointer
from export.registry import NO_HINTS, Hints
from export.safetensors_file import read_safetensors
from export.state_dict import find_state, is_training_state, unwrap
from export.student_file import Card, read_card
from export.training_config import config_hints
from export.unpickle import RESAVE, read_torch_file
from runtimes.errors import CheckpointError

COUNTER = "num_batches_tracked"  # BatchNorm's, an integer among the floats


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint's content: tensors by their official names, and what it says of its data (empty where silent).

    card: of one of our own students. hints: what a training config in the file says. notes: which weights of the file
    these are, where it has several or they had to be unwrapped.
    """

    state: Mapping[str, torch.Tensor]
    meta: DatasetMeta = NO_META
    card: Card | None = None
    hints: Hints = NO_HINTS
    notes: tuple[str, ...] = ()


def read_weights(path: Path) -> Weights:
    """Read a .pth, .pt or .safetensors file; raises CheckpointError, one line, where it holds no plain weights."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give the path of a checkpoint")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: is empty; download or copy it again")
    if is_lfs_pointer(path):
        raise CheckpointError(f"{path}: {LFS_POINTER}")
    if path.suffix == ".safetensors":
        tensors, metadata = read_safetensors(path)
        state, prefix = unwrap(_network_tensors(path, tensors))
        meta = DatasetMeta(metadata.get("dataset_name", ""))
        return Weights(state, meta, read_card(path, metadata), notes=_prefix_note(prefix))
    content = read_torch_file(path)
    found = find_state(path, content)
    state, prefix = unwrap(_network_tensors(path, found.state))
    notes = (*found.notes, *_prefix_note(prefix))
    return Weights(state, dataset_meta(content), hints=config_hints(content), notes=notes)


def _prefix_note(prefix: str) -> tuple[str, ...]:
    return (f"the prefix {prefix} was taken off all tensors",) if prefix else ()


def _network_tensors(path: Path, raw: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Strip prefixes of wrappers, drop training state, and return float32 tensors that share no memory."""
    state: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for raw_key, value in raw.items():
        if (
            not isinstance(raw_key, str)
            or not raw_key.isprintable()
            or not isinstance(value, torch.Tensor)
        ):
            named = ascii(raw_key[:80]) if isinstance(raw_key, str) else type(raw_key).__name__
            raise CheckpointError(f"{path}: {named} among the weights is no named tensor; {RESAVE}")
        key = re.sub(r"^(?:module\.|_orig_mod\.)+", "", raw_key)
        if is_training_state(key):
            continue
        # 8-bit floats mean nothing without their scales
        is_float = value.is_floating_point() and value.element_size() > 1
        if not _is_plain(value) or not (is_float or key.endswith(COUNTER)):
            raise CheckpointError(
                f"{path}: {key} is no plain float tensor ({value.dtype}); give the float checkpoint"
            )
        dtype = torch.int64 if key.endswith(COUNTER) else torch.float32
        state[key] = _own(value.detach(), dtype, taken)
        if not _is_finite(state[key]):
            raise CheckpointError(
                f"{path}: {key} holds NaN or infinity; give a checkpoint of a training that did not diverge"
            )
    return state


def _own(value: torch.Tensor, dtype: torch.dtype, taken: set[int]) -> torch.Tensor:
    """Return the values in `dtype` and in memory of their own: the tensor itself where that holds, else a copy.

    So a large model is in memory once. Official files store RTMDet's shared convolutions as one storage: the first
    tensor keeps it (and is noted in `taken`), the others get copies.
    """
    storage = value.untyped_storage()
    whole = storage.nbytes() == value.numel() * value.element_size()
    ready = value.dtype is dtype and value.is_contiguous()
    if not (ready and whole) or storage.data_ptr() in taken:
        return value.to(dtype, copy=True).contiguous()
    taken.add(storage.data_ptr())
    return value


def _is_finite(value: torch.Tensor) -> bool:
    """Return whether all values are finite, without a mask of the size of the tensor."""
    return not value.numel() or all(math.isfinite(end.item()) for end in torch.aminmax(value))


def _is_plain(value: torch.Tensor) -> bool:
    """Return whether the tensor is dense and all its bytes are in the file, not one number expanded to terabytes."""
    return (
        value.layout is torch.strided
        and not value.is_quantized
        and not value.is_meta
        and value.untyped_storage().nbytes() >= value.numel() * value.element_size()
    )
