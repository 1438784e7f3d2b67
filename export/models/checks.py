"""Checks that several families share: blocks counted in a state dict, keypoint sets, input sides."""

from collections.abc import Mapping
from typing import Any

from edge.catalog.specs import SCHEMA_OF_COUNT
from runtimes.errors import CheckpointError


def block_indices(state: Mapping[str, Any], prefix: str) -> set[str]:
    """Return the parts of the names that follow `prefix`, such as the "0" and "1" of `layers.0.` and `layers.1.`."""
    return {key[len(prefix) :].partition(".")[0] for key in state if key.startswith(prefix)}


def keypoint_schema(label: str, count: int) -> str:
    """Return the schema that a number of keypoints means; raises CheckpointError for an unknown one.

    label: family and size, such as "rtmpose-t", for the message.
    """
    if count not in SCHEMA_OF_COUNT:
        raise CheckpointError(
            f"looks like {label}, but has {count} keypoints; known are "
            f"{', '.join(f'{known} ({name})' for known, name in SCHEMA_OF_COUNT.items())}"
        )
    return SCHEMA_OF_COUNT[count]


def check_sides(family: str, input_wh: tuple[int, int], multiple: int) -> None:
    """Raise CheckpointError unless both sides of the input are multiples of `multiple`."""
    if any(side < multiple or side % multiple for side in input_wh):
        raise CheckpointError(
            f"{family} takes inputs whose sides are multiples of {multiple}, not {input_wh[0]}x{input_wh[1]}"
        )
