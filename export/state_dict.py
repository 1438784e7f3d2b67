"""The state dict inside a checkpoint: the container that holds the weights, and the prefix that wraps all names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from runtimes.errors import CheckpointError

# Keys under which training frameworks store the weights, best first: averaged weights are what is evaluated.
EMA_KEYS = ("state_dict_ema", "model_ema", "ema_model", "ema", "ema_state_dict", "shadow")
RAW_KEYS = ("state_dict", "model", "model_state_dict", "net", "params", "module", "weights")
# mmengine's EMA hook swaps them when it saves: `state_dict` is the average, and this the weights as trained.
MMENGINE_RAW = "ema_state_dict"
# Entries of official state dicts that belong to training and not to the network.
DROPPED = ("data_preprocessor.", "loss", "ema_")
COUNTERS = ("steps", "n_averaged")  # of averaged models
NESTING = 3  # a state dict under a key under a key; checkpoints are not nested deeper
SHOWN = 6  # keys or prefixes that a message names
# A lone common part of the names that is part of a network, not around one.
PART = "backbone"


@dataclass(frozen=True, slots=True)
class FoundState:
    """Names to values as they are in the file, and notes on the choice where there was one."""

    state: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def find_state(path: Path, content: Any) -> FoundState:
    """Return the mapping of names to tensors: the checkpoint itself, or nested under one of the usual keys.

    Averaged weights come before those as trained. Raises CheckpointError, with the keys of the file, where there are
    no tensors.
    """
    found = _search(content, NESTING)
    if found is None:
        keys = [ascii(key)[:40] for key in content][:SHOWN] if isinstance(content, Mapping) else []
        has = f"; it has {', '.join(keys)}" if keys else ""
        raise CheckpointError(
            f"{path}: holds no weights; looked for tensors at the top and under "
            f"{', '.join((*RAW_KEYS, *EMA_KEYS))}{has}"
        )
    return found


def unwrap(state: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Return the tensors without the parts that begin every name, such as `model.net.`, and those parts.

    A whole network has several parts (backbone and head), so what all names share is a wrapper's. Training state that
    lay under the wrapper is left out.
    """
    prefix = ""
    while (first := _first_part(state)) is not None:
        state = {key.removeprefix(first): value for key, value in state.items()}
        prefix += first
    return {key: value for key, value in state.items() if not is_training_state(key)}, prefix


def is_training_state(key: str) -> bool:
    """Return whether a tensor of that name belongs to training and not to the network."""
    return key.startswith(DROPPED) or key in COUNTERS


def prefixes(state: Mapping[str, Any]) -> str:
    """Return the first parts of the names with the number of tensors of each, most first, for a message."""
    counts: dict[str, int] = {}
    for key in state:
        first = key.partition(".")[0]
        counts[first] = counts.get(first, 0) + 1
    most = sorted(counts.items(), key=lambda item: -item[1])[:SHOWN]
    return ", ".join(f"{first[:40]}. ({count})" for first, count in most)


def _search(content: Any, depth: int) -> FoundState | None:
    if not isinstance(content, Mapping) or not depth + 1:
        return None
    inner = {
        key: found
        for key in (*EMA_KEYS, *RAW_KEYS)
        if key in content and (found := _search(content[key], depth - 1)) is not None
    }
    if not inner:
        has_tensors = any(isinstance(value, torch.Tensor) for value in content.values())
        return FoundState(content) if has_tensors else None
    if MMENGINE_RAW in inner and "state_dict" in inner:
        key, why = "state_dict", ", where mmengine's EMA hook keeps the averaged ones"
    else:
        key = next(iter(inner))
        why = ", the averaged ones" if key in EMA_KEYS else ""
    others = [other for other in inner if other != key]
    beside = f" (the file also has {', '.join(others)})" if others else ""
    note = f"weights taken from {key}{why}{beside}"
    notes = () if key in RAW_KEYS and not others else (note,)
    return FoundState(inner[key].state, (*notes, *inner[key].notes))


def _first_part(state: Mapping[str, torch.Tensor]) -> str | None:
    """Return the part, with its dot, that begins every name; None where there is none or it is a network's own."""
    firsts = {key.partition(".")[0] for key in state}
    if len(firsts) != 1 or (first := firsts.pop()) == PART or not first:
        return None
    nested = all(len(key) > len(first) + 1 for key in state)
    return f"{first}." if nested else None
