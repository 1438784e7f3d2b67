"""A teacher's answer in a student's terms: its keypoints by name, its maps where the student's crop shows them.

Knows no network: maps are tensors, keypoint sets are names.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edge.geometry import Size
from edge.schema import KeypointSchema
from edge.types import F64
from runtimes.errors import InputError


@dataclass(frozen=True, slots=True)
class KeypointMap:
    """Which of the teacher's keypoints each of the student's is.

    rows: intp (K,), the teacher's place of each (0 where it has none); taught: bool (K,), whether it has one.
    """

    rows: NDArray[np.intp]
    taught: NDArray[np.bool_]


def map_keypoints(teacher: KeypointSchema, student: KeypointSchema) -> KeypointMap:
    """Return the map by names; raises InputError where the two share no keypoint."""
    places = {name: place for place, name in enumerate(teacher.names)}
    taught = np.array([name in places for name in student.names])
    if not taught.any():
        raise InputError(
            f"the teacher's {teacher.name} and the student's {student.name} share no keypoint; "
            "choose a teacher that knows some of them"
        )
    return KeypointMap(np.array([places.get(name, 0) for name in student.names], np.intp), taught)


def select(values: torch.Tensor, keypoints: KeypointMap) -> torch.Tensor:
    """Return (B, K of the student, ...) of a teacher's (B, K of its own, ...); what it does not know is 0."""
    rows = torch.from_numpy(keypoints.rows).to(values.device)
    known = torch.from_numpy(keypoints.taught).to(values.device)
    shape = (1, -1) + (1,) * (values.ndim - 2)
    return values[:, rows] * known.reshape(shape)


def warp_maps(maps: torch.Tensor, matrices: F64, map_wh: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Return maps as other crops of the same frames see them, and which of their bins the first crops saw.

    maps: (B, K, h, w); matrices: float64 (B, 2, 3), bins of `maps` to bins of the result; result: (B, K, *map_wh) and
    float (B, 1, *map_wh), 1 where seen. Bilinear; bins lie on whole numbers.
    """
    height, width = maps.shape[2:]
    source = _sources(matrices, map_wh)
    inside = (source >= -0.5) & (source <= np.array((width, height)) - 0.5)
    seen = np.logical_and.reduce(inside, axis=-1, keepdims=False)
    ends = np.maximum(np.array((width, height)) - 1, 1)
    grid = torch.from_numpy(2 * source / ends - 1).to(maps)
    warped = functional.grid_sample(maps, grid, padding_mode="border", align_corners=True)
    mask = torch.from_numpy(np.expand_dims(seen, 1)).to(maps)
    return warped * mask, mask


def _sources(matrices: F64, map_wh: Size) -> F64:
    """Return where each bin of the result comes from: (B, h, w, 2), x and y in bins."""
    columns, rows = np.meshgrid(np.arange(map_wh[0]), np.arange(map_wh[1]))
    bins = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    back = np.linalg.inv(matrices[:, :, :2])
    moved = (bins[None] - matrices[:, None, :, 2]) @ back.transpose(0, 2, 1)
    sources: F64 = moved.reshape(len(matrices), map_wh[1], map_wh[0], 2)
    return sources
