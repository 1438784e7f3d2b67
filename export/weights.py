"""Tensors of a checkpoint file by name: read safely, wrappers stripped, plain, finite, float32."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from export.registry import NO_HINTS, Hints
from export.safetensors_file import read_safetensors
from export.student_file import Card, read_card
from export.training_config import config_hints
from export.unpickle import RESAVE, read_torch_file
from runtimes.errors import CheckpointError

# Keys under which training frameworks store the weights, best first: mmengine's `state_dict` is the averaged model.
STATE_KEYS = ("state_dict", "model", "ema", "model_state_dict", "net", "params")
# Entries of official state dicts that belong to training and not to the network.
DROPPED = ("data_preprocessor.", "loss", "ema_")
NESTING = 3  # a state dict under a key under a key; checkpoints are not nested deeper
COUNTER = "num_batches_tracked"  # BatchNorm's, an integer among the floats


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint's content: tensors by their official names, and what it says of its data (empty where silent).

    card: of one of our own students. hints: what a training config in the file says.
    """

    state: Mapping[str, torch.Tensor]
    dataset: str = ""
    classes: tuple[str, ...] = ()
    card: Card | None = None
    hints: Hints = NO_HINTS


def read_weights(path: Path) -> Weights:
    """Read a .pth, .pt or .safetensors file; raises CheckpointError, one line, where it holds no plain weights."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; give the path of a checkpoint")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path}: is empty; download or copy it again")
    if path.suffix == ".safetensors":
        tensors, metadata = read_safetensors(path)
        dataset = metadata.get("dataset_name", "")
        return Weights(_network_tensors(path, tensors), dataset, card=read_card(path, metadata))
    content = read_torch_file(path)
    dataset, classes = _dataset_meta(content)
    state = _network_tensors(path, _state_in(path, content))
    return Weights(state, dataset, classes, hints=config_hints(content))


def _state_in(path: Path, content: Any) -> Mapping[str, Any]:
    """Return the mapping of names to tensors: the checkpoint itself, or nested under one of the usual keys."""
    for _ in range(NESTING):
        if not isinstance(content, Mapping):
            break
        inner = (content[key] for key in STATE_KEYS if isinstance(content.get(key), Mapping))
        if (deeper := next(inner, None)) is not None:
            content = deeper
        elif any(isinstance(value, torch.Tensor) for value in content.values()):
            return content
    raise CheckpointError(
        f"{path}: holds no weights; looked for tensors at the top and under {', '.join(STATE_KEYS)}"
    )


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
        if key.startswith(DROPPED):
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


def _dataset_meta(content: Any) -> tuple[str, tuple[str, ...]]:
    """Return the dataset name and the classes that mmengine stores beside the weights, where they are plain text."""
    meta = content.get("meta") if isinstance(content, Mapping) else None
    described = meta.get("dataset_meta") if isinstance(meta, Mapping) else None
    if not isinstance(described, Mapping):
        return "", ()
    dataset = described.get("dataset_name", "")
    classes = described.get("classes", described.get("CLASSES", ()))
    listed = isinstance(classes, (tuple, list)) and all(isinstance(item, str) for item in classes)
    return dataset if isinstance(dataset, str) else "", tuple(classes) if listed else ()
