"""Checks that several families share: blocks counted in a state dict, keypoint sets, input sides."""

from collections.abc import Mapping
from typing import Any

from edge.catalog.specs import SCHEMA_OF_COUNT
from edge.schema import KeypointSet, numbered_schema
from runtimes.errors import CheckpointError


def block_indices(state: Mapping[str, Any], prefix: str) -> set[str]:
    """Return the parts of the names that follow `prefix`, such as the "0" and "1" of `layers.0.` and `layers.1.`."""
    return {key[len(prefix) :].partition(".")[0] for key in state if key.startswith(prefix)}


def keypoint_schema(count: int) -> KeypointSet:
    """Return the set that a number of keypoints means where nothing names them, else kp0, kp1, ..."""
    return SCHEMA_OF_COUNT.get(count) or numbered_schema(count)


def check_sides(family: str, input_wh: tuple[int, int], multiple: int) -> None:
    """Raise CheckpointError unless both sides of the input are multiples of `multiple`."""
    if any(side < multiple or side % multiple for side in input_wh):
        raise CheckpointError(
            f"{family} takes inputs whose sides are multiples of {multiple}, not {input_wh[0]}x{input_wh[1]}"
        )
