"""Keypoints and heatmaps of a teacher in a student's terms: shared keypoints, warped to the student's crop."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edge.geometry import Size
from edge.schema import KeypointSchema, shared_keypoints
from edge.types import F64
from runtimes.errors import InputError

HAND = "hand21"


@dataclass(frozen=True, slots=True)
class KeypointMap:
    """The teacher's index of each student keypoint.

    indices: intp (K,), 0 where the teacher lacks the keypoint; known: bool (K,), whether the teacher has it.
    """

    indices: NDArray[np.intp]
    known: NDArray[np.bool_]


def map_keypoints(teacher: KeypointSchema, student: KeypointSchema) -> KeypointMap:
    """Return the map of the keypoints that both have (`edge.schema.shared_keypoints`).

    Raises InputError where they share none, and for hands of an unknown side.
    """
    indices = shared_keypoints(teacher, student)
    known = indices >= 0
    if not known.any():
        sides = [_has_sides(each) for each in (teacher, student)]
        reason = (
            "one of them does not say whether a hand is left or right; choose two sets of hands or two of bodies"
            if HAND in (teacher.name, student.name) and any(sides)
            else "choose a teacher that knows some of them"
        )
        raise InputError(
            f"the teacher's {teacher.name} and the student's {student.name} share no keypoint; {reason}"
        )
    return KeypointMap(np.maximum(indices, 0), known)


def _has_sides(schema: KeypointSchema) -> bool:
    return any(name.endswith("_thumb4") for name in schema.names)


def select(values: torch.Tensor, keypoints: KeypointMap) -> torch.Tensor:
    """Return (B, K of the student, ...) from (B, K of the teacher, ...); keypoints the teacher lacks are 0."""
    indices = torch.from_numpy(keypoints.indices).to(values.device)
    known = torch.from_numpy(keypoints.known).to(values.device)
    shape = (1, -1) + (1,) * (values.ndim - 2)
    return values[:, indices] * known.reshape(shape)


def warp_maps(maps: torch.Tensor, matrices: F64, map_wh: Size) -> tuple[torch.Tensor, torch.Tensor]:
    """Return heatmaps warped to other crops of the same frames, and the mask of bins inside the first crops.

    maps: (B, K, h, w); matrices: float64 (B, 2, 3), bins of `maps` to bins of the result; result: (B, K, *map_wh) and
    float (B, 1, *map_wh), 1 where inside. Bilinear; bin centres are at integers.
    """
    height, width = maps.shape[2:]
    source = _source_bins(matrices, map_wh)
    x, y = source[..., 0], source[..., 1]
    covered = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    source *= 2 / np.maximum(np.array((width, height)) - 1, 1)
    source -= 1
    warped = functional.grid_sample(
        maps, torch.from_numpy(source).to(maps), padding_mode="border", align_corners=True
    )
    mask = torch.from_numpy(covered[:, None]).to(maps)
    return warped.mul_(mask), mask


def _source_bins(matrices: F64, map_wh: Size) -> F64:
    """Return the source position of each bin of the result: (B, h, w, 2), x and y in bins."""
    columns, rows = np.meshgrid(np.arange(map_wh[0]), np.arange(map_wh[1]))
    bins = np.stack([columns, rows], axis=-1).reshape(-1, 2)
    inverse = np.linalg.inv(matrices[:, :, :2])
    moved = (bins[None] - matrices[:, None, :, 2]) @ inverse.transpose(0, 2, 1)
    sources: F64 = moved.reshape(len(matrices), map_wh[1], map_wh[0], 2)
    return sources
