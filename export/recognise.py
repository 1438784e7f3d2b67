"""Recognition of checkpoints: the family and variant that a state dict belongs to, or the nearest and what differs."""

import functools
from collections.abc import Mapping
from pathlib import Path

import torch

from edge.types import counted
from export.registry import FAMILIES, NO_HINTS, Hints, Variant, load_families, load_family
from export.state_dict import prefixes
from export.weights import COUNTER
from runtimes.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]


def recognise(
    path: Path,
    state: Mapping[str, torch.Tensor],
    task: str | None = None,
    hints: Hints = NO_HINTS,
) -> tuple[Variant, Mapping[str, torch.Tensor]]:
    """Return the variant whose tensors these are, and the tensors under the names of our definition.

    task: selects one of several heads in a file. Raises CheckpointError naming the nearest family and what differs.
    """
    try:
        for family in load_families():
            canonical = family.canonical(state, task)
            if canonical is not None and (variant := family.recognise(canonical, hints)):
                return variant, canonical
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    readings = {
        variant: (named, expected_shapes(variant))
        for family in load_families()
        for named in [family.canonical(state, task) or state]
        for variant in family.candidates()
    }
    overlap = {variant: _overlap(*reading) for variant, reading in readings.items()}
    nearest = max(overlap, key=lambda variant: overlap[variant])
    if overlap[nearest] == (0, 0):
        keys = ", ".join(list(state)[:3])
        raise CheckpointError(
            f"{path}: of no known family ({', '.join(FAMILIES)}); its first tensors are {keys}; "
            f"all begin with {prefixes(state)}"
        )
    raise CheckpointError(
        f"{path}: of no known family; nearest is {nearest.family}-{nearest.size}, "
        f"but {differences(*readings[nearest])}"
    )


@functools.cache  # an unknown file is compared with all of some 45 networks
def expected_shapes(variant: Variant) -> Shapes:
    """Return the names and shapes of a variant's tensors."""
    with torch.device("meta"):
        module = load_family(variant.family).build(variant)
    return {key: tuple(value.shape) for key, value in module.state_dict().items()}


def _overlap(state: Mapping[str, torch.Tensor], expected: Shapes) -> tuple[int, int]:
    """Return the number of names in common, and of those whose shapes agree."""
    common = [key for key in expected if key in state]
    return len(common), sum(tuple(state[key].shape) == expected[key] for key in common)


def differences(state: Mapping[str, torch.Tensor], expected: Shapes) -> str:
    """Describe in one line how the tensors differ from the expected ones; empty where they do not."""
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    unexpected = [key for key in state if key not in expected]
    shaped = [
        f"{key} is {tuple(value.shape)} instead of {expected[key]}"
        for key, value in state.items()
        if key in expected and tuple(value.shape) != expected[key]
    ]
    parts = [
        f"{counted(len(found), f'tensor {one}', f'tensors {many}')} (first: {found[0]})"
        for one, many, found in (
            ("is missing", "are missing", missing),
            ("is unexpected", "are unexpected", unexpected),
            ("differs", "differ", shaped),
        )
        if found
    ]
    return ", ".join(parts)
